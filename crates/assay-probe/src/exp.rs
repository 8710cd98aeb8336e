//! e^x for x ≤ 0, many at a time.

/// e^x to 2 ulp for x ≤ 0 (0 below −700), without branches, so that loops over it are vectorised, and with the same bits on
/// every platform. Range reduction by ln 2 in two parts (Cody and Waite 1980), then the Taylor polynomial of degree 12, whose
/// first omitted term is below 2·10⁻¹⁶ for |r| ≤ ln 2 / 2.
#[inline(always)]
pub(crate) fn exp_nonpositive(x: f64) -> f64 {
    const ROUND: f64 = 6_755_399_441_055_744.0; // 1.5 · 2⁵²: adding it rounds to an integer
    const LN2_HIGH: f64 = 0.693_147_180_369_123_8;
    const LN2_LOW: f64 = 1.908_214_929_270_587_7e-10;
    let clamped = if x < -700.0 { -700.0 } else { x };
    let shifted = clamped * std::f64::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (clamped - n * LN2_HIGH) - n * LN2_LOW;
    let mut p = 1.0 / 479_001_600.0;
    for c in [
        1.0 / 39_916_800.0,
        1.0 / 3_628_800.0,
        1.0 / 362_880.0,
        1.0 / 40_320.0,
        1.0 / 5_040.0,
        1.0 / 720.0,
        1.0 / 120.0,
        1.0 / 24.0,
        1.0 / 6.0,
        0.5,
        1.0,
        1.0,
    ] {
        p = p * r + c;
    }
    let scale = f64::from_bits(shifted.to_bits().wrapping_add(1023) << 52);
    let value = p * scale;
    if x < -700.0 { 0.0 } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_exponential() {
        for i in 0..200_000 {
            let x = -f64::from(i) * 0.0035;
            let (found, expected) = (exp_nonpositive(x), x.exp());
            if x >= -700.0 {
                assert!((found / expected - 1.0).abs() < 1e-15, "exp({x}) is {expected}, not {found}");
            }
        }
        assert_eq!((exp_nonpositive(0.0), exp_nonpositive(-1e300)), (1.0, 0.0));
    }
}
