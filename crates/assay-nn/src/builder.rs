//! Sources of the parameters of a network while it is put together.
//!
//! A backbone is written once, as a function of a [`Builder`]; the same function lists the tensors that it needs, draws them at
//! random, or takes them from a checkpoint. Names are those of the original library. A list is made without a device.

use std::collections::BTreeMap;

use assay_stats::Stream;
use burn::module::{Module, ModuleVisitor, Param, ParamId, RunningState};
use burn::tensor::{Device, Tensor, TensorData};

use crate::backbone::Backbone;
use crate::device::unopened;
use assay_weights::{Dtype, RawTensor, TensorShape};

/// Source of values.
#[derive(Clone, Copy, Debug)]
pub enum Values<'a> {
    /// Drawn from a seed.
    Random(u64),
    /// Taken from these tensors, which have been audited.
    Given(&'a BTreeMap<String, RawTensor>),
    /// Taken from these tensors, and those that are not among them drawn from a seed: a pretrained network with a new head.
    Start(&'a BTreeMap<String, RawTensor>, u64),
}

/// Distribution that a tensor is drawn from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// Uniform on ±1/√fan-in, torch's default for convolutions and linear layers.
    UniformFanIn(usize),
    /// Normal with variance 2/fan (He et al. 2015).
    Kaiming(usize),
    /// All one.
    Ones,
    /// All zero.
    Zeros,
    /// All the same.
    Constant(f32),
    /// Normal with this standard deviation.
    Normal(f64),
}

/// Hands out parameters by name and remembers them.
pub struct Builder<'a> {
    device: Device,
    /// Absent when the tensors are only listed.
    values: Option<Values<'a>>,
    shapes: Vec<TensorShape>,
    /// Tells which tensors stay as they are while the others are trained.
    frozen: Option<&'a dyn Fn(&str) -> bool>,
}

impl<'a> Builder<'a> {
    /// A builder that makes tensors on `device`.
    pub fn new(device: &Device, values: Values<'a>) -> Self {
        Self { device: device.clone(), values: Some(values), shapes: Vec::new(), frozen: None }
    }

    /// A builder that makes no tensors and opens no device: what it builds cannot compute, but tells what it needs.
    pub fn listing() -> Self {
        Self { device: unopened(), values: None, shapes: Vec::new(), frozen: None }
    }

    /// The same builder, which freezes what `frozen` says of names of tensors and layers: it is not learnt, and batch
    /// normalisation does not follow the batch.
    pub fn freezing(self, frozen: &'a dyn Fn(&str) -> bool) -> Self {
        Self { frozen: Some(frozen), ..self }
    }

    /// Tells whether what has this name is frozen.
    pub fn is_frozen(&self, name: &str) -> bool {
        self.frozen.is_some_and(|frozen| frozen(name))
    }

    /// The device on which tensors are made.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The tensors handed out so far.
    pub fn shapes(&self) -> &[TensorShape] {
        &self.shapes
    }

    /// The parameters by their ids, which count from one in the order of construction.
    pub fn by_id(&self) -> BTreeMap<u64, TensorShape> {
        (1..).zip(self.shapes.iter().cloned()).collect()
    }

    /// Lists a tensor and makes it, unless tensors are only listed.
    fn tensor<const D: usize>(
        &mut self,
        name: &str,
        lead: &[usize],
        shape: [usize; D],
        init: Init,
    ) -> Option<Tensor<D>> {
        self.shapes.push(TensorShape { name: name.to_owned(), shape: [lead, &shape].concat() });
        let values = match self.values? {
            Values::Given(tensors) => tensors.get(name).expect("the audit found every tensor").to_f32(),
            Values::Random(seed) => draw(name, shape.iter().product(), init, seed),
            Values::Start(tensors, seed) => match tensors.get(name) {
                Some(tensor) => tensor.to_f32(),
                None => draw(name, shape.iter().product(), init, seed),
            },
        };
        Some(Tensor::from_data(TensorData::new(values, shape), &self.device))
    }

    fn next_id(&self) -> ParamId {
        ParamId::from(self.shapes.len() as u64)
    }

    /// A learnable parameter.
    pub fn parameter<const D: usize>(&mut self, name: &str, shape: [usize; D], init: Init) -> Param<Tensor<D>> {
        self.squeezed(name, &[], shape, init)
    }

    /// A learnable parameter that files have with more axes in front, of one each.
    pub fn squeezed<const D: usize>(
        &mut self,
        name: &str,
        lead: &[usize],
        shape: [usize; D],
        init: Init,
    ) -> Param<Tensor<D>> {
        let tensor = self.tensor(name, lead, shape, init);
        let id = self.next_id();
        match tensor {
            Some(tensor) if self.device.is_autodiff() && !self.is_frozen(name) => {
                Param::initialized(id, tensor.require_grad())
            }
            Some(tensor) => Param::initialized(id, tensor),
            // Made when it is first asked for, which nobody does of a network that is only listed.
            None => {
                let make = move |device: &Device, _| Tensor::zeros(shape, device);
                Param::uninitialized(id, make, self.device.clone(), false, shape.into())
            }
        }
    }

    /// A statistic that is not learnt but kept beside the parameters; `None` when tensors are only listed.
    pub fn statistic(&mut self, name: &str, length: usize, init: Init) -> Option<RunningState<Tensor<1>>> {
        let tensor = self.tensor(name, &[], [length], init);
        let id = self.next_id();
        tensor.map(|tensor| RunningState::with_id(id, tensor))
    }
}

/// Every tensor has a stream of its own, named after it, so that the order of construction changes nothing.
fn draw(name: &str, count: usize, init: Init, seed: u64) -> Vec<f32> {
    let mut stream = Stream::new(&format!("weights {name}"), &[seed]);
    match init {
        Init::Ones => vec![1.0; count],
        Init::Zeros => vec![0.0; count],
        Init::Constant(value) => vec![value; count],
        Init::Normal(deviation) => (0..count).map(|_| (deviation * stream.normal()) as f32).collect(),
        Init::UniformFanIn(fan) => {
            let bound = 1.0 / (fan as f64).sqrt();
            (0..count).map(|_| stream.uniform(-bound, bound) as f32).collect()
        }
        Init::Kaiming(fan) => {
            let deviation = (2.0 / fan as f64).sqrt();
            (0..count).map(|_| (deviation * stream.normal()) as f32).collect()
        }
    }
}

/// The tensors of a backbone as they are drawn from a seed.
pub fn random_tensors(backbone: &Backbone, seed: u64, device: &Device) -> BTreeMap<String, RawTensor> {
    let mut builder = Builder::new(device, Values::Random(seed));
    let net = backbone.build(&mut builder);
    net.map(|net| collect(&net, &builder.by_id())).unwrap_or_default()
}

/// Reads all parameters and statistics of a module back as named tensors.
pub fn collect<M: Module>(module: &M, known: &BTreeMap<u64, TensorShape>) -> BTreeMap<String, RawTensor> {
    struct Collector<'a> {
        known: &'a BTreeMap<u64, TensorShape>,
        found: BTreeMap<String, RawTensor>,
    }
    impl ModuleVisitor for Collector<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let Some(TensorShape { name, shape }) = self.known.get(&param.id.val()) else { return };
            let bytes = param.val().into_data().iter::<f32>().flat_map(f32::to_le_bytes).collect();
            self.found.insert(name.clone(), RawTensor { dtype: Dtype::F32, shape: shape.clone(), bytes });
        }
    }
    let mut collector = Collector { known, found: BTreeMap::new() };
    module.visit(&mut collector);
    collector.found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch_norm::BatchNorm;

    #[test]
    fn what_is_listed_is_not_made() {
        let mut builder = Builder::listing();
        // More than any memory holds.
        let weight = builder.squeezed("weight", &[1], [1 << 30, 1 << 30], Init::Ones);
        assert!(!weight.is_initialized());
        assert!(BatchNorm::build(&mut builder, "bn", 1 << 40, 1e-5).is_none());
        let listed: Vec<_> = builder.shapes().iter().map(|t| (t.name.as_str(), t.shape.len())).collect();
        let statistics = ["bn.weight", "bn.bias", "bn.running_mean", "bn.running_var"].map(|name| (name, 1));
        assert_eq!(listed, [[("weight", 3)].as_slice(), &statistics].concat());
    }

    #[test]
    fn a_list_is_what_is_built() {
        let device = crate::device::open(crate::device::DeviceChoice::Cpu).unwrap().device;
        for backbone in [Backbone::ResNet20, Backbone::Conv4(crate::Conv4 { channels: 1, width: 2 })] {
            let mut builder = Builder::new(&device, Values::Random(1));
            let net = backbone.build(&mut builder).unwrap();
            let made = collect(&net, &builder.by_id());
            let mut listed: Vec<_> = backbone.tensors().into_iter().map(|t| (t.name, t.shape)).collect();
            listed.sort();
            assert_eq!(made.into_iter().map(|(name, t)| (name, t.shape)).collect::<Vec<_>>(), listed);
        }
    }
}
