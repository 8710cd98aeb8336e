//! The figures of Tables 1 to 9 of Ericsson, Gouk and Hospedales, "How Well Do Self-Supervised Models Transfer?" (CVPR 2021,
//! arXiv 2011.13377v2), what the paper derived from them, and comparison of other results with them.
//!
//! The figures are data (`data/published.csv`, compiled in), each column with the table that it is from.

use crate::correlate::{Correlation, fisher_interval, kendall, logit, pearson, spearman, weighted_tau};
use crate::metrics::Bounds;
use crate::rank::ranks;

const FIGURES: &str = include_str!("../data/published.csv");
/// Columns of the data before those of the models.
const ABOUT: usize = 8;

/// One column of a table: a measure of all models.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// Number of the table.
    pub table: u32,
    /// Kind of task, such as `manyshot_linear`.
    pub task: String,
    /// Dataset.
    pub dataset: String,
    /// Protocol, such as `linear`, `5way_20shot` or `frozen`.
    pub protocol: String,
    /// Metric as the data calls it.
    pub metric: String,
    /// Support images of each class; absent where the task has none.
    pub shots: Option<u32>,
    /// Place where paper and code disagree so that the column may not be what it says; absent elsewhere.
    pub suspect: Option<String>,
    /// Publication and table.
    pub source: String,
    /// Value of each model as printed, in percent where it is a share.
    pub values: Vec<f64>,
    /// Half-width of the printed 95 % interval of each model; NaN where none is printed.
    pub half_widths: Vec<f64>,
    /// Digits after the point, as printed.
    pub digits: usize,
}

/// Names of the models, in the order of the values of a column.
pub fn models() -> Vec<&'static str> {
    cells(FIGURES.lines().next().unwrap_or_default()).into_iter().skip(ABOUT).collect()
}

/// All columns, table by table as the data has them.
pub fn columns() -> Vec<Column> {
    FIGURES.lines().skip(1).map(|line| Column::of(&cells(line))).collect()
}

/// Fields of a line; those in quotes may hold commas.
fn cells(line: &'static str) -> Vec<&'static str> {
    let mut in_quotes = false;
    let split = move |c: char| {
        in_quotes ^= c == '"';
        c == ',' && !in_quotes
    };
    line.split(split).map(|cell| cell.trim_matches('"')).collect()
}

impl Column {
    fn of(cells: &[&str]) -> Self {
        let number = |text: &str| text.parse().expect("the data of the project holds numbers");
        let figures = cells[ABOUT..].iter().map(|cell| cell.split_once('±').unwrap_or((cell, "")));
        let text = |at: usize| Some(cells[at].to_owned()).filter(|t| !t.is_empty());
        Self {
            table: cells[0].parse().expect("tables have numbers"),
            task: cells[1].to_owned(),
            dataset: cells[2].to_owned(),
            protocol: cells[3].to_owned(),
            metric: cells[4].to_owned(),
            shots: cells[5].parse().ok(),
            suspect: text(6),
            source: cells[7].to_owned(),
            values: figures.clone().map(|(value, _)| number(value)).collect(),
            half_widths: figures.clone().map(|(_, half)| half.parse().unwrap_or(f64::NAN)).collect(),
            digits: figures.filter_map(|(v, _)| v.split_once('.')).map(|(_, d)| d.len()).max().unwrap_or(0),
        }
    }

    /// True if a larger value is better.
    pub fn larger_is_better(&self) -> bool {
        let is_error = |name: &str| self.metric.starts_with(name) || self.metric.ends_with(name);
        !["ece_", "lpips_", "mse_", "_deg"].into_iter().any(is_error)
    }

    /// The values as the paper correlates them: logits of shares, angles with the sign turned, colour errors as they are.
    pub fn axis(&self) -> Vec<f64> {
        let transform: fn(f64) -> f64 = if self.metric.starts_with("mse_") {
            |v| v
        } else if self.metric.ends_with("_deg") {
            |v| -v
        } else if self.metric.starts_with("lpips_") {
            |v| logit(v, None)
        } else {
            |v| logit(v / 100.0, None)
        };
        self.values.iter().map(|v| transform(*v)).collect()
    }

    /// Rank of each model, 1 for the best, means for ties: an axis of Figure 7.
    pub fn ranks(&self) -> Vec<f64> {
        let sign = if self.larger_is_better() { 1.0 } else { -1.0 };
        ranks(&self.values.iter().map(|v| sign * v).collect::<Vec<_>>())
    }

    /// How the column is called.
    pub fn title(&self) -> String {
        let shots = self.shots.map_or(String::new(), |s| format!(", {s} shots"));
        format!("{} {} {}{shots}", self.dataset, self.protocol, self.metric).replace("  ", " ")
    }

    /// Compares the value of another run of the same measure, with the half-width of its 95 % interval where it has one.
    pub fn compare(&self, model: usize, value: f64, half_width: Option<f64>) -> Verdict {
        let printed = 0.5 * 10f64.powi(-(self.digits as i32));
        let own = self.half_widths[model];
        let known = half_width.unwrap_or(0.0).hypot(if own.is_nan() { 0.0 } else { own });
        let margin = known.max(NOISE) + printed;
        let difference = value - self.values[model];
        let standing = match &self.suspect {
            Some(_) => Standing::Suspect,
            None if difference.abs() <= margin => Standing::Agrees,
            None => Standing::Differs,
        };
        Verdict { difference, margin, standing, note: self.note() }
    }

    /// Why the paper's column and a careful run may differ.
    pub fn note(&self) -> Option<&'static str> {
        match (self.task.as_str(), self.dataset.as_str()) {
            ("segmentation", _) => Some(
                "the released code builds another network than the checkpoints are for, and loads what fits: encoders may not \
                 have been loaded",
            ),
            ("fewshot_kornblith" | "fewshot_cdfsl", _) => Some(
                "the released code squeezes images to 257 × 257 before the crop, the text says shorter side 224; episodes were \
                 not seeded",
            ),
            ("manyshot_linear", "VOC2007") => {
                Some("difficult objects count as absent, and the precision at recall 0 counts as 1")
            }
            ("manyshot_linear" | "manyshot_finetune", "Caltech101") => Some(
                "training images were drawn with replacement: 2,416 different ones, some also in the validation list",
            ),
            ("manyshot_linear", _) => {
                Some("the released code stops its solver after 100 iterations for each value of C")
            }
            ("analysis", _) if self.metric.contains("scaled") => {
                Some("the released code fits temperatures on fifths of the test images")
            }
            ("detection", _) if self.protocol == "frozen" => Some("the last stage was trained, though called frozen"),
            ("surface_normals", _) => Some("pixels of padded labels are counted by the released code"),
            _ => None,
        }
    }
}

/// Difference in points that two runs of the same code showed: Table 1 and the authors' own instructions give two values of
/// three cells, 0.05 apart.
const NOISE: f64 = 0.1;

/// What a comparison with a published value comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The difference is within the margin.
    Agrees,
    /// It is not.
    Differs,
    /// The published column is in doubt, so that nothing follows from a difference.
    Suspect,
}

/// A value compared with the published one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verdict {
    /// The value less the published one.
    pub difference: f64,
    /// Largest difference that says nothing: both intervals together, at least 0.1, and half of the last printed digit.
    pub margin: f64,
    /// What follows.
    pub standing: Standing,
    /// What the paper's text and its code say of such columns.
    pub note: Option<&'static str>,
}

/// Correlation of a measure with another over the models.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Correlated {
    /// Number of models.
    pub models: usize,
    /// Pearson's r, by which the paper goes.
    pub pearson: f64,
    /// 95 % interval of r by Fisher's transform.
    pub bounds: Bounds,
    /// Spearman's ρ.
    pub spearman: f64,
    /// Kendall's τ-b.
    pub kendall: f64,
    /// Weighted τ.
    pub weighted: f64,
}

/// Correlates two axes.
pub fn correlate(x: &[f64], y: &[f64]) -> Correlated {
    let r = pearson(x, y);
    Correlated {
        models: x.len(),
        pearson: r,
        bounds: fisher_interval(r, x.len(), Correlation::Pearson),
        spearman: spearman(x, y),
        kendall: kendall(x, y),
        weighted: weighted_tau(x, y),
    }
}

/// Mean of the axes of several columns: what the paper takes for a group of datasets.
///
/// # Panics
/// When there is no column.
pub fn mean_axis(columns: &[&Column]) -> Vec<f64> {
    assert!(!columns.is_empty(), "there must be a column");
    let axes: Vec<Vec<f64>> = columns.iter().map(|c| c.axis()).collect();
    (0..axes[0].len()).map(|m| axes.iter().map(|a| a[m]).sum::<f64>() / axes.len() as f64).collect()
}

/// Name of a group of columns, and which belong to it.
type Group = (&'static str, fn(&Column) -> bool);

/// Groups of columns that Figure 1 shows against ImageNet accuracy.
const GROUPS: [Group; 8] = [
    ("many-shot, linear", |c| c.task == "manyshot_linear" && c.dataset != AVERAGE),
    ("many-shot, finetune", |c| c.task == "manyshot_finetune" && c.dataset != AVERAGE),
    ("few-shot, Kornblith, 20 shots", |c| c.task == "fewshot_kornblith" && c.shots == Some(20)),
    ("few-shot, CD-FSL, 20 shots", |c| c.task == "fewshot_cdfsl" && c.shots == Some(20)),
    ("detection, frozen, AP50", |c| c.task == "detection" && c.protocol == "frozen" && c.metric == "AP50"),
    ("detection, finetune, AP50", |c| c.task == "detection" && c.protocol == "finetune" && c.metric == "AP50"),
    ("surface normals, within 11.25°", |c| c.task == "surface_normals" && c.metric == "11.25"),
    ("segmentation, mIoU", |c| c.task == "segmentation" && c.metric == "mIoU"),
];
const AVERAGE: &str = "AVG11";

/// Correlation with the ImageNet accuracy of each group of Figure 1, then of each column of Table 9, over all models and over
/// those without Supervised, which is the last.
pub fn correlations_with_imagenet() -> Vec<(String, Correlated, Correlated)> {
    let all = columns();
    let imagenet = all.iter().find(|c| c.dataset == "ImageNet").expect("Table 1 has ImageNet").axis();
    let groups = GROUPS
        .iter()
        .map(|(name, belongs)| ((*name).to_owned(), mean_axis(&all.iter().filter(|c| belongs(c)).collect::<Vec<_>>())));
    let analyses = all.iter().filter(|c| c.table == 9).map(|c| (c.metric.clone(), c.axis()));
    let row = |(name, axis): (String, Vec<f64>)| {
        let last = axis.len() - 1;
        (name, correlate(&imagenet, &axis), correlate(&imagenet[..last], &axis[..last]))
    };
    groups.chain(analyses).map(row).collect()
}

/// The printed average of each model and the mean of the figures that it is of, for `manyshot_linear` or `manyshot_finetune`.
pub fn averages(task: &str) -> Vec<(f64, f64)> {
    let all = columns();
    let own = || all.iter().filter(|c| c.task == task);
    let parts: Vec<&Column> = own().filter(|c| c.dataset != AVERAGE).collect();
    let printed = own().find(|c| c.dataset == AVERAGE);
    let mean = |m: usize| parts.iter().map(|c| c.values[m]).sum::<f64>() / parts.len() as f64;
    printed.map_or_else(Vec::new, |c| c.values.iter().enumerate().map(|(m, v)| (*v, mean(m))).collect())
}

/// A table as text: a line for each column, with a value of each model.
pub fn table_text(table: u32) -> String {
    let mut text = format!("Table {table}\n{:44}", "");
    models().iter().for_each(|m| text.push_str(&format!(" {m:>14}")));
    text.push('\n');
    for column in columns().iter().filter(|c| c.table == table) {
        let mark = if column.suspect.is_some() { " (?)" } else { "" };
        text.push_str(&format!("{:44}", column.title() + mark));
        for (value, half) in column.values.iter().zip(&column.half_widths) {
            let digits = column.digits;
            let cell =
                if half.is_nan() { format!("{value:.digits$}") } else { format!("{value:.digits$} ± {half:.2}") };
            text.push_str(&format!(" {cell:>14}"));
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(task: &str, dataset: &str, metric: &str) -> Column {
        columns().into_iter().find(|c| c.task == task && c.dataset == dataset && c.metric == metric).expect("is there")
    }

    #[test]
    fn every_table_is_whole() {
        let all = columns();
        assert_eq!((models().len(), all.len(), models()[13]), (14, 88, "Supervised"));
        for table in 1..=9 {
            assert!(all.iter().any(|c| c.table == table), "{table}");
        }
        for c in &all {
            assert_eq!((c.values.len(), c.half_widths.len()), (14, 14), "{}", c.title());
            assert!(c.source.starts_with("arXiv 2011.13377v2, Table ") && c.values.iter().all(|v| v.is_finite()));
            assert_eq!(c.half_widths.iter().all(|h| h.is_finite()), c.task.starts_with("fewshot"), "{}", c.title());
        }
        assert_eq!(column("manyshot_linear", "Aircraft", "mean_per_class").values[..2], [36.87, 35.55]);
        assert!(table_text(1).contains("Aircraft linear mean_per_class") && table_text(2).contains(" ± "));
    }

    #[test]
    fn what_the_paper_derived_follows_from_its_figures() {
        let expected = [0.926, 0.857, 0.827, 0.606, 0.788, 0.328, 0.430, 0.193];
        let found = correlations_with_imagenet();
        for ((name, all, rest), expected) in found.iter().zip(expected) {
            assert_eq!(format!("{:.3}", all.pearson), format!("{expected:.3}"), "{name}");
            assert_eq!((all.models, rest.models), (14, 13));
        }
        // Table 9's row of correlations: attentive diffusion .09 with ImageNet, .38 with linear transfer.
        assert_eq!(found.len(), 8 + 11);
        assert_eq!(format!("{:.2}", found[18].1.pearson), "0.09");
        let all = columns();
        let linear = mean_axis(&all.iter().filter(|c| GROUPS[0].1(c)).collect::<Vec<_>>());
        let diffusion = column("analysis", "avg", "attentive_diffusion");
        assert_eq!(format!("{:.2}", correlate(&linear, &diffusion.axis()).pearson), "0.38");
        // Others by scipy (`tests/reference/published.py`).
        for (at, expected) in [(8, -0.7718), (11, -0.5953), (12, -0.4919), (15, -0.5628), (17, -0.2196)] {
            assert!((found[at].1.pearson - expected).abs() < 5e-5, "{:?}", found[at]);
        }
        let (linear, (rho, without)) = (&found[0], (0.854_945_054_945, 0.955_739_180_365));
        assert!((linear.1.spearman - rho).abs() < 1e-10 && (linear.2.pearson - without).abs() < 1e-10, "{linear:?}");
    }

    #[test]
    fn averages_are_means_of_the_printed_figures_to_the_printed_digit() {
        for task in ["manyshot_linear", "manyshot_finetune"] {
            let found = averages(task);
            assert_eq!(found.len(), 14);
            // The paper rounded means of figures that had more digits: half a digit of its own and that of its parts.
            assert!(found.iter().all(|(printed, mean)| (printed - mean).abs() <= 0.005 + 0.005), "{found:?}");
        }
    }

    #[test]
    fn ranks_know_their_direction() {
        let linear = column("manyshot_linear", AVERAGE, "avg").ranks();
        assert_eq!(linear, [13.0, 12.0, 14.0, 11.0, 10.0, 6.0, 7.0, 4.0, 9.0, 8.0, 3.0, 1.0, 2.0, 5.0]);
        let finetune = column("manyshot_finetune", AVERAGE, "avg").ranks();
        assert_eq!(finetune, [13.0, 12.0, 9.0, 14.0, 7.0, 6.0, 11.0, 8.0, 3.0, 10.0, 5.0, 1.0, 2.0, 4.0]);
        let angles = column("surface_normals", "NYUv2", "mean_deg");
        let best = angles.ranks().iter().position(|r| *r < 2.0).map(|at| angles.values[at]);
        assert_eq!(best, angles.values.iter().copied().reduce(f64::min));
    }

    #[test]
    fn a_value_agrees_differs_or_proves_nothing() {
        let linear = column("manyshot_linear", "Aircraft", "mean_per_class");
        let few = column("fewshot_kornblith", "Aircraft", "acc_mean_600ep");
        let segmentation = column("segmentation", "ADE20K", "mIoU");
        for (column, difference, half, expected) in [
            (&linear, 0.1, None, Standing::Agrees),
            (&linear, -0.5, None, Standing::Differs),
            (&linear, -0.5, Some(0.6), Standing::Agrees),
            (&few, 0.5, Some(0.5), Standing::Agrees),
            (&few, 3.0, Some(0.5), Standing::Differs),
            (&segmentation, 0.0, None, Standing::Suspect),
        ] {
            let verdict = column.compare(0, column.values[0] + difference, half);
            assert_eq!(verdict.standing, expected, "{} {difference} {verdict:?}", column.title());
            assert!(verdict.note.is_some() && (verdict.difference - difference).abs() < 1e-12);
        }
    }
}
