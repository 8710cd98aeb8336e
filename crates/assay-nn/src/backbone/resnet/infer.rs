//! The ResNet that the tensors of a file are of.

use super::{Antialias, ResNet, ResNetBlock, ResNetStem, Shortcut};
use crate::backbone::Backbone;
use crate::backbone::reading::Shapes;
use crate::layers::divisible;
use assay_weights::Checkpoint;

/// The ResNet whose tensors are in the file, as far as these tell; under the name of its own, if it has one.
pub fn infer(checkpoint: &Checkpoint) -> Option<Backbone> {
    let namings = super::names::all();
    let shapes = Shapes::beside("layer1.0.conv1.weight", checkpoint, &namings)?;
    let spec = of_shapes(&shapes)?;
    let named = [
        (ResNet::resnet18(), Backbone::ResNet18),
        (ResNet::resnet34(), Backbone::ResNet34),
        (ResNet::resnet50(), Backbone::ResNet50),
        (ResNet::resnet101(), Backbone::ResNet101),
        (ResNet::resnet152(), Backbone::ResNet152),
        (ResNet::wide_resnet50_2(), Backbone::WideResNet50),
        (ResNet::resnext50_32x4d(), Backbone::ResNeXt50),
    ];
    let name = named.into_iter().find(|(known, _)| *known == spec).map(|(_, backbone)| backbone);
    Some(name.unwrap_or(Backbone::ResNet(spec))).filter(|backbone| backbone.invalid_because().is_none())
}

fn of_shapes(shapes: &Shapes) -> Option<ResNet> {
    let number = |n: usize| u32::try_from(n).ok();
    let depths = [1, 2, 3, 4].map(|stage| shapes.count(|i| format!("layer{stage}.{i}.conv1.weight")));
    let spec = match shapes.first("layer1.0.conv3.weight") {
        None => {
            let width = number(shapes.first("layer1.0.conv1.weight")?)?;
            ResNet { width, ..ResNet::of(ResNetBlock::Basic, depths) }
        }
        Some(output) => {
            let [inner, each, ..] = *shapes.of("layer1.0.conv2.weight")? else { return None };
            let (width, groups) = (output / 4, inner.checked_div(each)?);
            let group_width = number((inner * 64).checked_div(width * groups)?)?;
            let (width, groups) = (number(width)?, number(groups)?);
            ResNet { width, groups, group_width, ..ResNet::of(ResNetBlock::Bottleneck, depths) }
        }
    };
    let is_pooled = shapes.of("layer2.0.downsample.1.weight").is_some_and(|shape| shape.len() == 4);
    let has_filter = shapes.of("layer2.0.aa.filt").is_some();
    Some(ResNet {
        stem: stem(shapes)?,
        shortcut: if is_pooled { Shortcut::AvgPool } else { Shortcut::Conv },
        squeeze: squeeze(shapes),
        antialias: has_filter.then_some(Antialias::Blur),
        ..spec
    })
}

fn stem(shapes: &Shapes) -> Option<ResNetStem> {
    match shapes.of("conv1.weight") {
        Some([_, 3, 7, 7]) => Some(ResNetStem::Usual),
        Some([_, 3, 3, 3]) => Some(ResNetStem::Small),
        Some(_) => None,
        None => {
            let [first, second, third] =
                ["conv1.0.weight", "conv1.3.weight", "conv1.6.weight"].map(|name| shapes.first(name));
            Some(ResNetStem::Deep { widths: [first? as u32, second? as u32, third? as u32] })
        }
    }
}

/// The divisor that gives the channels of the first and of the last stage.
fn squeeze(shapes: &Shapes) -> Option<u32> {
    let fits = |divisor: &u32| {
        ["layer1.0.se.fc1.weight", "layer4.0.se.fc1.weight"].iter().all(|name| match shapes.of(name) {
            Some([inner, outer, ..]) => divisible(*outer as f64 / f64::from(*divisor), 8, 0.0) == *inner,
            _ => false,
        })
    };
    [16, 4, 8, 2, 32].into_iter().find(fits)
}
