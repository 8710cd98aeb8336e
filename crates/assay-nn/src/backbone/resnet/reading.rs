//! How the tensors of ResNets are read, which fit several networks.

use super::{Antialias, ResNet, ResNetBlock, ResNetStem, StrideIn};
use crate::backbone::{Origin, Unsaid};
use crate::layers::Padding;

/// The reading of a file as this ResNet, in words.
///
/// # Errors
/// When the file is called otherwise.
pub fn reading(spec: &ResNet, told: &Origin) -> Result<Option<String>, Unsaid> {
    contradiction(spec, told)?;
    let mut taken = Vec::new();
    let mut others = Vec::new();
    match spec.stem {
        ResNetStem::Usual | ResNetStem::Deep { .. } => {
            let (name, rivals) = match spec.antialias() {
                Antialias::Plain => {
                    ("no antialiasing", "timm's resnetaa and resnetblur (`antialias: AvgPool`, `Blur`)")
                }
                Antialias::AvgPool => ("means of 2×2 pixels where it takes steps", "plain ones (`antialias: Plain`)"),
                Antialias::Blur => ("a blur where it takes steps", "plain ones (`antialias: Plain`)"),
            };
            taken.push(name.to_owned());
            others.push(rivals);
        }
        ResNetStem::Small => {
            taken.push("a 3×3 convolution padded by 1 and no max pool first".to_owned());
            others.push(
                "solo-learn's, padded by 2 (`stem: SmallPadded`), and those with a max pool (`stem: SmallPooled`)",
            );
        }
        ResNetStem::SmallPadded => {
            taken.push("a 3×3 convolution padded by 2 and no max pool first, as solo-learn has it".to_owned());
            others.push("those padded by 1 (`stem: Small`), and those with a max pool (`stem: SmallPooled`)");
        }
        ResNetStem::SmallPooled => {
            taken.push("a 3×3 convolution padded by 1 and a max pool first".to_owned());
            others.push("those without the pool (`stem: Small`, and for solo-learn `SmallPadded`)");
        }
    }
    if spec.block == ResNetBlock::Bottleneck {
        taken.push(match spec.stride_in {
            StrideIn::Conv1 => "the stride in the 1×1 convolution, as Caffe has it".to_owned(),
            StrideIn::Conv2 => "the stride in the 3×3 convolution, as torchvision has it".to_owned(),
        });
        others.push(match spec.stride_in {
            StrideIn::Conv1 => "those with the stride in the 3×3 one (`stride_in: Conv2`)",
            StrideIn::Conv2 => "Caffe's, with the stride in the 1×1 one (`stride_in: Conv1`)",
        });
    }
    taken.extend(padding(spec, told));
    Ok(Some(format!("read with {}; the same tensors have {}", taken.join(", "), others.join("; "))))
}

/// The padding, where names are those of a library that pads otherwise than torch.
fn padding(spec: &ResNet, told: &Origin) -> Option<String> {
    let library = told.naming.as_deref()?;
    let usual = match library {
        "Haiku" => Padding::TfSame,
        "SimCLR (TensorFlow)" => Padding::TfSamePool,
        _ => return None,
    };
    (spec.padding != usual).then(|| {
        format!(
            "`padding: {:?}`, although the names are those of {library}, whose networks want `{usual:?}`",
            spec.padding
        )
    })
}

/// What the file is called, against what is written.
fn contradiction(spec: &ResNet, told: &Origin) -> Result<(), Unsaid> {
    if spec.antialias.is_some() {
        return Ok(());
    }
    let called = [(told.word_with(&["resnetaa", "resnextaa"]), "AvgPool"), (told.word_with(&["blur"]), "Blur")];
    let Some((word, filter)) = called.iter().find_map(|(word, filter)| Some(((*word)?, filter))) else { return Ok(()) };
    Err(Unsaid {
        question: format!(
            "it is called {word:?}, which speaks of a filter against aliasing, and its tensors do not tell whether there is one"
        ),
        help: format!("say which it is: `ResNet(antialias: {filter})` or `ResNet(antialias: Plain)`"),
    })
}
