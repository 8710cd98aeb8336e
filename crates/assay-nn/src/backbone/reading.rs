//! What a weights file tells of a network besides its tensors, and how it is read where the tensors fit several networks.

use std::collections::BTreeMap;

use super::{Antialias, Backbone, EfficientNet, Library, MobileNetV3, Origin, ResNet, Settled, Unsaid};
use assay_weights::{Checkpoint, Naming};

impl Origin {
    /// The name, of the file or of the architecture in the configuration beside it, in which one of these is found, in small
    /// letters.
    pub(super) fn word_with(&self, parts: &[&str]) -> Option<&str> {
        let is_in = |word: &&String| parts.iter().any(|part| word.to_lowercase().contains(part));
        self.architecture.iter().chain(&self.file).find(is_in).map(String::as_str)
    }
}

impl Backbone {
    /// The backbone as the tensors of a file are read, where these fit several networks.
    ///
    /// # Errors
    /// When what else the file tells contradicts the parameters, or when it takes one of them that is not written.
    pub(super) fn read(&self, origin: &Origin) -> Result<Settled, Unsaid> {
        let architecture = origin.architecture.as_deref().filter(|_| origin.naming.is_none());
        let backbone = architecture.map_or_else(|| self.clone(), |name| self.filled(name));
        let note = backbone.architecture().reading(origin)?;
        Ok(Settled { notes: note.into_iter().collect(), ..Settled::plain(backbone) })
    }

    /// With what timm's architecture of this name is, where nothing else is written.
    fn filled(&self, timm: &str) -> Self {
        let library = if timm.starts_with("tf_") { Library::TensorFlow } else { Library::Timm };
        match self {
            Self::EfficientNet(spec) if timm.contains("efficientnet") => {
                Self::EfficientNet(EfficientNet { library: spec.library.or(Some(library)), ..spec.clone() })
            }
            Self::MobileNetV3(spec) if timm.contains("mobilenetv3") => {
                Self::MobileNetV3(MobileNetV3 { library: spec.library.or(Some(library)), ..spec.clone() })
            }
            Self::ResNet(spec) => {
                let antialias = match timm {
                    _ if ["resnetaa", "resnextaa"].iter().any(|part| timm.contains(part)) => Some(Antialias::AvgPool),
                    _ if timm.contains("resnetblur") => Some(Antialias::Blur),
                    _ => None,
                };
                Self::ResNet(ResNet { antialias: spec.antialias.or(antialias), ..spec.clone() })
            }
            _ => self.clone(),
        }
    }
}

/// Shapes of the tensors of a file under one prefix, by the names that a backbone has for them.
pub struct Shapes(BTreeMap<String, Vec<usize>>);

impl Shapes {
    /// The tensors beside the one called `anchor`, after the first of `namings` that knows their names; `None` without that one.
    pub fn beside(anchor: &str, checkpoint: &Checkpoint, namings: &[Naming]) -> Option<Self> {
        let translated = namings.iter().find_map(|naming| (naming.translate)(&checkpoint.tensors));
        let all: BTreeMap<&str, &[usize]> = match &translated {
            Some(tensors) => tensors.iter().map(|(name, t)| (name.as_str(), t.shape.as_slice())).collect(),
            None => checkpoint.tensors.iter().map(|(name, t)| (name.as_str(), t.shape.as_slice())).collect(),
        };
        let before = |name: &&str| name.strip_suffix(anchor).filter(|p| p.is_empty() || p.ends_with('.')).is_some();
        let prefix = all.keys().find(|name| before(name))?.strip_suffix(anchor)?;
        let ours = all.iter().filter_map(|(name, shape)| Some((name.strip_prefix(prefix)?.to_owned(), shape.to_vec())));
        Some(Self(ours.collect()))
    }

    /// The shape of a tensor.
    pub fn of(&self, name: &str) -> Option<&[usize]> {
        self.0.get(name).map(Vec::as_slice)
    }

    /// The first axis of a tensor.
    pub fn first(&self, name: &str) -> Option<usize> {
        self.of(name)?.first().copied()
    }

    /// Number of names that `name` gives for 0, 1, …, up to the first that there is not.
    pub fn count(&self, name: impl Fn(u32) -> String) -> u32 {
        (0..1000).take_while(|i| self.0.contains_key(&name(*i))).count() as u32
    }
}
