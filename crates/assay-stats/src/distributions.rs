//! Distributions that tests and intervals need: normal, t, F, χ², beta, binomial, and the studentised range.
//!
//! Tails are computed as tails, so that small probabilities keep their digits: about 1e-12 relative.

/// Standard normal: P(Z ≤ z).
pub fn normal_cdf(z: f64) -> f64 {
    0.5 * libm::erfc(-z / std::f64::consts::SQRT_2)
}

/// The z with P(Z ≤ z) = `p`; infinite at 0 and 1.
pub fn normal_quantile(p: f64) -> f64 {
    if p > 0.5 { -root(|z| normal_cdf(z) - (1.0 - p), -40.0, 0.0) } else { root(|z| normal_cdf(z) - p, -40.0, 0.0) }
}

/// Student's t with `df` degrees of freedom: P(|T| ≥ |t|).
pub fn t_two_sided(t: f64, df: f64) -> f64 {
    if t.is_nan() { f64::NAN } else { beta_cdf(df / (df + t * t), 0.5 * df, 0.5) }
}

/// The t with P(T ≤ t) = `p` ≥ ½.
pub fn t_quantile(p: f64, df: f64) -> f64 {
    // In a share of t²/df, which is bounded: that of the side where p is the smaller.
    let inside = 2.0 * p - 1.0;
    if inside < 0.5 {
        let y = root(|y| beta_cdf(y, 0.5, 0.5 * df) - inside, 0.0, 1.0);
        return (df * y / (1.0 - y)).sqrt();
    }
    let x = root(|x| beta_cdf(x, 0.5 * df, 0.5) - 2.0 * (1.0 - p), 0.0, 1.0);
    (df * (1.0 - x) / x).sqrt()
}

/// Fisher's F: P(F ≥ f).
pub fn f_upper(f: f64, df1: f64, df2: f64) -> f64 {
    if f.is_nan() { f64::NAN } else { beta_cdf(df2 / (df2 + df1 * f.max(0.0)), 0.5 * df2, 0.5 * df1) }
}

/// χ²: P(X ≥ x).
pub fn chi_squared_upper(x: f64, df: f64) -> f64 {
    gamma_upper(0.5 * df, 0.5 * x.max(0.0))
}

/// Beta: P(B ≤ x), the regularised incomplete beta function, by its continued fraction (Lentz 1976).
pub fn beta_cdf(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 || x.is_nan() {
        return x.clamp(0.0, 1.0);
    }
    let front = a * libm::log(x) + b * libm::log1p(-x) - ln_beta(a, b);
    if x < (a + 1.0) / (a + b + 2.0) {
        libm::exp(front) * beta_fraction(x, a, b) / a
    } else {
        1.0 - libm::exp(front) * beta_fraction(1.0 - x, b, a) / b
    }
}

/// The x with P(B ≤ x) = `p`.
pub fn beta_quantile(p: f64, a: f64, b: f64) -> f64 {
    root(|x| beta_cdf(x, a, b) - p, 0.0, 1.0)
}

/// Binomial with even odds: P(X ≤ k) and P(X = k) of n draws.
pub fn coin(k: u64, n: u64) -> (f64, f64) {
    let ln_choose = |i: u64| {
        let ln_factorial = |v: u64| libm::lgamma(v as f64 + 1.0);
        ln_factorial(n) - ln_factorial(i) - ln_factorial(n - i) - n as f64 * std::f64::consts::LN_2
    };
    let point = libm::exp(ln_choose(k));
    // Falls away from the middle, so the sum goes from the largest term down.
    let (mut sum, mut term) = (0.0, point);
    for i in (0..=k).rev() {
        sum += term;
        if term < 1e-20 * sum {
            break;
        }
        term *= i as f64 / (n - i + 1) as f64;
    }
    (sum.min(1.0), point)
}

/// Studentised range of `groups` normal variables with known variance: P(Q ≥ q). The trapezoidal rule, which converges
/// exponentially here.
pub fn studentised_range_upper(q: f64, groups: usize) -> f64 {
    if q.is_nan() || q <= 0.0 {
        return if q.is_nan() { q } else { 1.0 };
    }
    const STEP: f64 = 1.0 / 32.0;
    let density = |z: f64| libm::exp(-0.5 * z * z) / std::f64::consts::TAU.sqrt();
    let inside = |z: f64| (normal_cdf(z) - normal_cdf(z - q)).powi(groups as i32 - 1);
    let at = |i: i32| f64::from(i) * STEP;
    let below: f64 = (-288..=288).map(|i| density(at(i)) * inside(at(i))).sum::<f64>() * STEP * groups as f64;
    (1.0 - below).clamp(0.0, 1.0)
}

/// The q with P(Q ≥ q) = `alpha`.
pub fn studentised_range_quantile(alpha: f64, groups: usize) -> f64 {
    root(|q| alpha - studentised_range_upper(q, groups), 0.0, 100.0)
}

/// ln B(a, b). Where an argument is large, two values of ln Γ that are almost equal are not subtracted, but their series.
fn ln_beta(a: f64, b: f64) -> f64 {
    let (large, small) = if a > b { (a, b) } else { (b, a) };
    if large < 30.0 {
        return libm::lgamma(a) + libm::lgamma(b) - libm::lgamma(a + b);
    }
    // Stirling's series beyond (x − ½) ln x − x + ½ ln 2π.
    let rest = |x: f64| {
        let square = 1.0 / (x * x);
        (1.0 / 12.0 - square * (1.0 / 360.0 - square * (1.0 / 1260.0 - square * (1.0 / 1680.0 - square / 1188.0)))) / x
    };
    let growth = (large - 0.5) * libm::log1p(small / large) + small * libm::log(large + small) - small;
    libm::lgamma(small) - growth - rest(large + small) + rest(large)
}

fn beta_fraction(x: f64, a: f64, b: f64) -> f64 {
    let away = |v: f64| if v.abs() < 1e-300 { 1e-300 } else { v };
    let mut d = 1.0 / away(1.0 - (a + b) * x / (a + 1.0));
    let (mut c, mut product) = (1.0, d);
    for m in 1..100_000 {
        let m = f64::from(m);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let before = product;
        for step in [even, odd] {
            d = 1.0 / away(1.0 + step * d);
            c = away(1.0 + step / c);
            product *= d * c;
        }
        if (product - before).abs() <= 1e-16 * product.abs() {
            break;
        }
    }
    product
}

/// The upper regularised incomplete gamma function: a series for its complement below a + 1, else a continued fraction.
fn gamma_upper(a: f64, x: f64) -> f64 {
    if x <= 0.0 || x.is_nan() {
        return if x.is_nan() { x } else { 1.0 };
    }
    let front = libm::exp(a * libm::log(x) - x - libm::lgamma(a));
    if x < a + 1.0 {
        let (mut term, mut sum, mut n) = (1.0 / a, 1.0 / a, a);
        while term > 1e-17 * sum {
            n += 1.0;
            term *= x / n;
            sum += term;
        }
        return 1.0 - front * sum;
    }
    let mut b = x + 1.0 - a;
    let (mut c, mut d) = (1e300, 1.0 / b);
    let mut product = d;
    for i in 1..100_000 {
        let step = -f64::from(i) * (f64::from(i) - a);
        b += 2.0;
        d = 1.0 / (step * d + b);
        c = b + step / c;
        product *= d * c;
        if (d * c - 1.0).abs() < 1e-16 {
            break;
        }
    }
    front * product
}

/// Where a rising function is zero, by halving.
fn root(function: impl Fn(f64) -> f64, mut low: f64, mut high: f64) -> f64 {
    loop {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            return middle;
        }
        if function(middle) < 0.0 { low = middle } else { high = middle }
    }
}
