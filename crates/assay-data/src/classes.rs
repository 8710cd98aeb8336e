//! Classes by name: what counts as the same name, the order that classes are in, and names that look like a mistake.
//!
//! Readers give names, and what two of them say is compared by these alone. Indices of a source mean nothing outside of it.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, ensure};
use unicode_normalization::{UnicodeNormalization as _, is_nfc};

use crate::manifest::{Manifest, Sample};
use crate::splits::split_of;
use crate::target::Label;

/// Origin of the order of classes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClassOrder {
    /// A list of the dataset or of the experiment, or labels that are themselves the numbers from 0 on.
    #[default]
    Listed,
    /// The names: whole numbers by value where all are such, else by bytes.
    Sorted,
    /// The names too, since the files of the dataset list them in different orders.
    Disputed,
}

/// Order of classes that an experiment asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WantedOrder {
    /// Exactly these classes, in this order; some may have no image.
    Names(Vec<String>),
    /// By value; all names must be whole numbers, no two of the same value.
    Numeric,
    /// By the bytes of the names, as torchvision's `ImageFolder` sorts them.
    Text,
}

/// Names in their composed Unicode form (NFC), with the forms that they were met in.
#[derive(Debug, Default)]
pub(crate) struct Canon(BTreeMap<String, BTreeSet<String>>);

impl Canon {
    /// The name that a written one stands for.
    pub fn take(&mut self, written: &str) -> String {
        let name = composed(written);
        if !self.0.get(&name).is_some_and(|forms| forms.contains(written)) {
            self.0.entry(name.clone()).or_default().insert(written.to_owned());
        }
        name
    }

    /// Tells which names were met in several forms.
    pub fn notes(&self) -> Vec<String> {
        let several = self.0.iter().filter(|(_, forms)| forms.len() > 1);
        several
            .map(|(name, _)| {
                format!("class {name:?} is written in two Unicode forms (NFC and NFD), which are taken for one class")
            })
            .collect()
    }
}

/// Brings a name into the composed form (NFC).
pub(crate) fn composed(name: &str) -> String {
    if is_nfc(name) { name.to_owned() } else { name.nfc().collect() }
}

/// Brings a name into the decomposed form (NFD).
pub(crate) fn decomposed(name: &str) -> String {
    name.nfd().collect()
}

/// The value of a name that is a whole number.
fn whole(name: &str) -> Option<i64> {
    name.parse().ok()
}

/// Sorts names by the one rule of all readers, each once: whole numbers by value where all are such, else by bytes.
pub(crate) fn sort_names(names: &mut Vec<String>) {
    if names.iter().all(|name| whole(name).is_some()) {
        names.sort_by_cached_key(|name| (whole(name), name.clone()));
    } else {
        names.sort();
    }
    names.dedup();
}

/// Tells whether names are the numbers from 0 on, as they are written.
pub(crate) fn are_indices(names: &[String]) -> bool {
    names.iter().enumerate().all(|(i, name)| *name == i.to_string())
}

impl Manifest {
    /// Tells whether the order of its classes was guessed from names that are all whole numbers, and text order is another:
    /// a program that sorts folders as text would number the classes otherwise.
    pub fn order_is_ambiguous(&self) -> bool {
        let mut as_text = self.classes.clone();
        as_text.sort();
        self.order == ClassOrder::Sorted
            && self.classes.iter().all(|name| whole(name).is_some())
            && as_text != self.classes
    }

    /// Puts its classes in an order, by name.
    ///
    /// # Errors
    /// When names are missing in a list or listed twice, are no numbers or twice the same, or are those of boxes or maps.
    pub fn reorder(self, wanted: &WantedOrder) -> anyhow::Result<Self> {
        let classes = match wanted {
            WantedOrder::Names(names) => listed(&self, names)?,
            WantedOrder::Numeric => numeric(&self.classes)?,
            WantedOrder::Text => {
                let mut classes = self.classes.clone();
                classes.sort();
                classes
            }
        };
        let index: BTreeMap<&String, u32> = classes.iter().zip(0..).collect();
        let new: Vec<Option<u32>> = self.classes.iter().map(|name| index.get(name).copied()).collect();
        let samples = self.samples.into_iter().map(|sample| renumber(sample, &new, classes.len()));
        Ok(Self { samples: samples.collect::<anyhow::Result<_>>()?, classes, order: ClassOrder::Listed, ..self })
    }
}

/// The names of a list, which must hold every class that has an image.
fn listed(manifest: &Manifest, names: &[String]) -> anyhow::Result<Vec<String>> {
    let names: Vec<String> = names.iter().map(|name| composed(name)).collect();
    let mut seen = BTreeSet::new();
    let twice = names.iter().find(|name| !seen.insert(*name));
    ensure!(twice.is_none(), "`classes` lists {:?} twice", twice.map_or("", String::as_str));
    let absent: Vec<&str> =
        with_images(manifest).into_keys().filter(|name| !seen.contains(&(*name).to_owned())).collect();
    ensure!(
        absent.is_empty(),
        "`classes` does not list {} of the classes that have images: {}; it lists {}",
        absent.len(),
        some(&absent),
        some(&names.iter().map(String::as_str).collect::<Vec<_>>())
    );
    Ok(names)
}

fn numeric(classes: &[String]) -> anyhow::Result<Vec<String>> {
    let mut by_value: BTreeMap<i64, String> = BTreeMap::new();
    for name in classes {
        let value = whole(name)
            .with_context(|| format!("`classes: Numeric` needs names that are whole numbers, and there is {name:?}"))?;
        if let Some(other) = by_value.insert(value, name.clone()) {
            anyhow::bail!("`classes: Numeric` cannot tell {other:?} from {name:?}: both are {value}");
        }
    }
    Ok(by_value.into_values().collect())
}

fn renumber(mut sample: Sample, new: &[Option<u32>], count: usize) -> anyhow::Result<Sample> {
    let targets = &mut sample.targets;
    ensure!(
        targets.boxes.is_none() && targets.mask.is_none(),
        "`classes` is for datasets with labels alone, and {} has boxes or a map",
        sample.path
    );
    targets.label = match targets.label.take() {
        Some(Label::Class(class)) => Some(Label::Class(new[class as usize].context("a class with images is listed")?)),
        Some(Label::MultiLabel(marks)) => {
            let mut moved = vec![crate::target::Presence::Absent; count];
            for (mark, at) in marks.iter().zip(new) {
                if let Some(at) = at {
                    moved[*at as usize] = *mark;
                }
            }
            Some(Label::MultiLabel(moved.into()))
        }
        None => None,
    };
    Ok(sample)
}

/// Names of classes that look like a mistake.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Doubts {
    /// Names that a person can hardly have meant to be different classes, or classes at all.
    pub errors: Vec<String>,
    /// Names that may be meant so.
    pub warnings: Vec<String>,
}

/// Words that tables have where a value is missing, in small letters.
const MISSING: [&str; 13] =
    ["nan", "-nan", "na", "n/a", "<na>", "#n/a", "#na", "null", "none", "nil", "1.#qnan", "-1.#ind", "nat"];

/// Looks for names of classes with images that look like a mistake.
pub fn doubts(manifest: &Manifest) -> Doubts {
    let counts = with_images(manifest);
    let names: Vec<&str> = counts.keys().copied().collect();
    let mut doubts = Doubts::default();
    let mut told: BTreeSet<&str> = BTreeSet::new();
    for (key, what) in [
        (as_number as fn(&str) -> Option<String>, "are one number, written in different ways"),
        (as_seen, "differ in space or in letters that do not print"),
    ] {
        for group in groups(&names, key) {
            doubts.errors.push(format!("the classes {} {what}", quoted(&group)));
            told.extend(group);
        }
    }
    for group in groups(&names, as_read) {
        if !group.iter().all(|name| told.contains(name)) {
            doubts.warnings.push(format!(
                "the classes {} differ in nothing but letter case, the form of letters, `_`, `-` or space, and are taken for different classes",
                quoted(&group)
            ));
        }
    }
    let kinds: BTreeSet<_> = names.iter().filter_map(|name| split_of(name)).collect();
    if kinds.len() > 1 {
        let words: Vec<&str> = names.iter().copied().filter(|name| split_of(name).is_some()).collect();
        doubts.errors.push(format!(
            "the classes {} are called like splits (if they are such, `splits` of `ImageFolder` names them)",
            quoted(&words)
        ));
    }
    let numbers = names.iter().filter(|name| whole(name).is_some_and(|n| n >= 0)).count();
    for (name, images) in &counts {
        let is_word = MISSING.contains(&name.trim().to_lowercase().as_str());
        // Classes -1 and 1 are a usual pair.
        let is_number = *name == "-1" && numbers + 1 == names.len() && names != ["-1", "1"];
        if is_word || is_number {
            let noun = if *images == 1 { "image" } else { "images" };
            doubts.warnings.push(format!(
                "class {name:?} ({images} {noun}) reads like a label that is missing, and is taken for a class"
            ));
        }
    }
    doubts
}

/// The number of images of each class that has some.
fn with_images(manifest: &Manifest) -> BTreeMap<&str, usize> {
    let all: Vec<u32> = (0..manifest.samples.len() as u32).collect();
    let counts = manifest.images_showing(&all);
    manifest.classes.iter().map(String::as_str).zip(counts).filter(|(_, count)| *count > 0).collect()
}

/// Groups of several names with the same key.
fn groups<'n>(names: &[&'n str], key: fn(&str) -> Option<String>) -> Vec<Vec<&'n str>> {
    let mut groups: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for name in names {
        if let Some(key) = key(name) {
            groups.entry(key).or_default().push(name);
        }
    }
    groups.into_values().filter(|group| group.len() > 1).collect()
}

fn as_number(name: &str) -> Option<String> {
    let text = name.trim();
    let is_plain = text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'+' | b'e' | b'E'));
    let value: f64 = text.parse().ok().filter(|value: &f64| is_plain && value.is_finite())?;
    // -0 is 0.
    Some(format!("{:?}", value + 0.0))
}

/// A name without what does not print.
fn as_seen(name: &str) -> Option<String> {
    let is_unseen = |c: char| {
        matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}')
            || (c.is_control() && !c.is_whitespace())
    };
    let visible: String = name.nfc().filter(|c| !is_unseen(*c)).collect();
    Some(visible.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// A name as a hasty reader takes it; none for numbers, whose signs and points matter.
fn as_read(name: &str) -> Option<String> {
    if as_number(name).is_some() {
        return None;
    }
    let seen = as_seen(name)?;
    let plain = |c: char| match c {
        '_' | '-' => ' ',
        // Cyrillic and Greek letters that look like Latin ones.
        'а' | 'α' => 'a',
        'е' => 'e',
        'о' | 'ο' => 'o',
        'р' | 'ρ' => 'p',
        'с' => 'c',
        'у' => 'y',
        'х' => 'x',
        'і' => 'i',
        'ѕ' => 's',
        'ј' => 'j',
        other => other,
    };
    let read: String = seen.nfkc().flat_map(char::to_lowercase).map(plain).collect();
    Some(read.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn quoted(names: &[&str]) -> String {
    let shown = names.iter().take(6).map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ");
    if names.len() > 6 { format!("{shown} and {} more", names.len() - 6) } else { shown }
}

/// The first few of a list, for messages.
pub(crate) fn some(names: &[&str]) -> String {
    let shown = names.iter().take(5).copied().collect::<Vec<_>>().join(", ");
    if names.len() > 5 { format!("{shown}, …") } else { shown }
}
