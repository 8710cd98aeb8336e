//! Devices: what is compiled in, what is there, and the choice at run time.
//!
//! `Device::default()` is not used: it picks by the order of compile-time features, and using an absent device panics.
//!
//! GPUs that are not NVIDIA's are reached through wgpu, whose kernels are written in WGSL and translated by naga. Burn's other way
//! to Vulkan, SPIR-V written by CubeCL, is not compiled in: the modules that CubeCL 0.11 writes are invalid, and matrix products
//! of many shapes come out wrong.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::str::FromStr;

use burn::tensor::Device;
#[cfg(feature = "cuda")]
use burn::tensor::DeviceType;

/// Libraries that write the kernels of GPUs, with their versions; devices add the language. Belongs to the provenance
/// of whatever they compute.
pub const CODE_GENERATOR: &str = "burn 0.22.1, cubecl 0.11.3";

/// Bytes of the largest tensor on a card of NVIDIA: indices within a buffer have 32 bits.
#[cfg(feature = "cuda")]
const MAX_BUFFER_BYTES_OF_CUDA: u64 = 2 << 30;

/// A device as `--device` says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceChoice {
    /// The first GPU that works, else the CPU.
    Auto,
    /// The CPU.
    Cpu,
    /// A device of one of the GPU interfaces, by index.
    Gpu(Interface, usize),
}

/// A way to reach GPUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interface {
    /// NVIDIA's.
    Cuda,
    /// wgpu on Vulkan, whatever else there is.
    Vulkan,
    /// wgpu on the interface that it finds best: Vulkan, Metal or Direct3D.
    Wgpu,
}

impl Interface {
    const ALL: [Self; 3] = [Self::Cuda, Self::Vulkan, Self::Wgpu];

    /// The name of the interface as `--device` spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cuda => "cuda",
            Self::Vulkan => "vulkan",
            Self::Wgpu => "wgpu",
        }
    }

    /// Feature of the build that it needs.
    fn feature(self) -> &'static str {
        match self {
            Self::Cuda => "cuda",
            Self::Vulkan | Self::Wgpu => "wgpu",
        }
    }

    /// The libraries that write the interface's kernels.
    fn generator(self) -> String {
        match self {
            Self::Cuda => format!("{CODE_GENERATOR}, cuda"),
            Self::Vulkan | Self::Wgpu => format!("{CODE_GENERATOR}, naga 30.0.1, wgsl"),
        }
    }
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, index) = text.split_once(':').unwrap_or((text, "0"));
        let expected = || format!("unknown device {text:?}: expected auto, cpu, cuda[:N], vulkan[:N] or wgpu[:N]");
        let index: usize = index.parse().map_err(|_| expected())?;
        match name {
            "auto" if text == "auto" => Ok(Self::Auto),
            "cpu" if text == "cpu" => Ok(Self::Cpu),
            _ => {
                Interface::ALL.into_iter().find(|i| i.name() == name).map(|i| Self::Gpu(i, index)).ok_or_else(expected)
            }
        }
    }
}

impl DeviceChoice {
    /// The devices that `--device` lists, separated by commas.
    ///
    /// # Errors
    /// When one cannot be read, is named twice, or `auto` is not alone.
    pub fn list(text: &str) -> Result<Vec<Self>, String> {
        let choices = text.split(',').map(str::parse).collect::<Result<Vec<Self>, _>>()?;
        let interfaces = |wanted| choices.iter().any(|c| matches!(c, Self::Gpu(interface, _) if *interface == wanted));
        if choices.len() > 1 && choices.contains(&Self::Auto) {
            return Err(format!("{text:?}: `auto` stands alone; list the devices instead"));
        }
        if let Some((_, twice)) = choices.iter().enumerate().find(|(i, choice)| choices[..*i].contains(choice)) {
            return Err(format!("{text:?} names {twice} twice"));
        }
        if interfaces(Interface::Vulkan) && interfaces(Interface::Wgpu) {
            return Err(format!("{text:?}: `vulkan` and `wgpu` may be the same cards; use one of them"));
        }
        Ok(choices)
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Gpu(interface, index) => write!(f, "{}:{index}", interface.name()),
        }
    }
}

/// A device that can be used.
#[derive(Clone, Debug)]
pub struct OpenDevice {
    /// For tensors.
    pub device: Device,
    /// For people and provenance, such as `cpu` or `cuda:0`.
    pub name: String,
    /// True for the CPU, which several threads may share.
    pub is_cpu: bool,
    /// Libraries that write the device's kernels, with versions, for provenance; empty on the CPU, whose kernels are
    /// part of this binary.
    pub generator: String,
    /// Bytes of the largest tensor that it holds in one piece.
    pub largest_buffer_bytes: u64,
}

/// Report on one interface to devices.
#[derive(Clone, Debug)]
pub struct Probe {
    /// `cpu`, `cuda`, `vulkan` or `wgpu`.
    pub name: &'static str,
    /// True if this binary has the interface.
    pub compiled: bool,
    /// Devices found.
    pub devices: Vec<String>,
    /// Why none can be used, or what to look out for.
    pub note: String,
}

/// Looks for devices; uses none of them.
pub fn probe() -> Vec<Probe> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let cpu = Probe {
        name: "cpu",
        compiled: cfg!(feature = "flex"),
        devices: vec![format!("{threads} threads")],
        note: String::new(),
    };
    std::iter::once(cpu).chain(Interface::ALL.into_iter().map(probe_interface)).collect()
}

fn probe_interface(interface: Interface) -> Probe {
    let devices: Vec<String> = enumerate(interface).iter().map(|found| format!("{:?}", found.device)).collect();
    let compiled = is_compiled(interface);
    let note = match (compiled, devices.is_empty(), interface) {
        (false, _, _) => format!("not compiled in: build with `--features {}`", interface.feature()),
        (true, true, Interface::Cuda) => "no NVIDIA driver or no card".to_owned(),
        (true, true, _) => "no GPU found (software renderers are passed over)".to_owned(),
        (true, false, Interface::Cuda) => {
            "kernels with exp, log or tanh need nvvm/libdevice of a CUDA toolkit".to_owned()
        }
        _ => String::new(),
    };
    Probe { name: interface.name(), compiled, devices, note }
}

fn is_compiled(interface: Interface) -> bool {
    match interface {
        Interface::Cuda => cfg!(feature = "cuda"),
        Interface::Vulkan | Interface::Wgpu => cfg!(feature = "wgpu"),
    }
}

/// A GPU that is there.
struct Found {
    device: Device,
    /// Bytes of its largest buffer. Opens it, and panics when that fails.
    largest_buffer: Box<dyn Fn() -> u64>,
}

fn enumerate(interface: Interface) -> Vec<Found> {
    match interface {
        #[cfg(feature = "cuda")]
        Interface::Cuda => {
            let found = |device| Found { device, largest_buffer: Box::new(|| MAX_BUFFER_BYTES_OF_CUDA) };
            Device::enumerate(DeviceType::Cuda).into_vec().into_iter().map(found).collect()
        }
        #[cfg(feature = "wgpu")]
        Interface::Vulkan => enumerate_wgpu(cubecl::Device::vulkan),
        #[cfg(feature = "wgpu")]
        Interface::Wgpu => enumerate_wgpu(cubecl::Device::wgpu),
        #[allow(unreachable_patterns)]
        _ => Vec::new(),
    }
}

/// The GPUs that wgpu reaches, without software renderers, which are slower than the CPU itself.
#[cfg(feature = "wgpu")]
fn enumerate_wgpu(
    at: fn(cubecl::device::WgpuDeviceKind) -> Result<cubecl::Device, cubecl::device::DeviceUnavailable>,
) -> Vec<Found> {
    use cubecl::device::WgpuDeviceKind;
    let kinds =
        [WgpuDeviceKind::DiscreteGpu, WgpuDeviceKind::IntegratedGpu, WgpuDeviceKind::VirtualGpu, WgpuDeviceKind::Other];
    let found = |device: cubecl::Device| Found {
        device: Device::new(device.clone()),
        largest_buffer: Box::new(move || device.client().properties().memory.max_page_size),
    };
    kinds.into_iter().flat_map(|kind| (0..).map_while(move |i| at(kind(i)).ok())).map(found).collect()
}

/// Opens the devices that `--device` lists, separated by commas.
///
/// # Errors
/// When the list cannot be read or names a device twice, and when one of them is not compiled in, not there or not working.
pub fn open_all(text: &str) -> Result<Vec<OpenDevice>, String> {
    DeviceChoice::list(text)?.into_iter().map(open).collect()
}

/// Opens the chosen device.
///
/// # Errors
/// When it is not compiled in, not there or not working.
pub fn open(choice: DeviceChoice) -> Result<OpenDevice, String> {
    match choice {
        DeviceChoice::Cpu => cpu(),
        DeviceChoice::Auto => Interface::ALL.into_iter().find_map(|i| open_gpu(i, 0).ok()).map_or_else(cpu, Ok),
        DeviceChoice::Gpu(interface, index) => open_gpu(interface, index),
    }
}

fn open_gpu(interface: Interface, index: usize) -> Result<OpenDevice, String> {
    let name = interface.name();
    if !is_compiled(interface) {
        let feature = interface.feature();
        return Err(format!(
            "this binary was built without {name}: build it with `--features {feature}`, or use `--device cpu`"
        ));
    }
    let devices = enumerate(interface);
    let count = devices.len();
    let Found { device, largest_buffer } = devices.into_iter().nth(index).ok_or_else(|| {
        format!("there is no device {name}:{index} ({count} found); `assay doctor` says what there is")
    })?;
    // A driver that cannot open what it lists makes Burn panic: better said here than by every step that uses the device.
    let largest_buffer_bytes = catch_unwind(AssertUnwindSafe(largest_buffer))
        .map_err(|_| format!("the device {name}:{index} is there but cannot be opened; is its driver complete?"))?;
    let generator = interface.generator();
    Ok(OpenDevice { device, name: format!("{name}:{index}"), is_cpu: false, generator, largest_buffer_bytes })
}

#[cfg(feature = "flex")]
fn cpu() -> Result<OpenDevice, String> {
    Ok(OpenDevice {
        device: Device::flex(),
        name: "cpu".to_owned(),
        is_cpu: true,
        generator: String::new(),
        largest_buffer_bytes: u64::MAX,
    })
}

#[cfg(not(feature = "flex"))]
fn cpu() -> Result<OpenDevice, String> {
    Err("this binary was built without the CPU: build it with `--features flex`".to_owned())
}

/// A device to name where one must be named and nothing is computed; it is never opened.
pub(crate) fn unopened() -> Device {
    #[cfg(feature = "flex")]
    return Device::flex();
    #[cfg(all(not(feature = "flex"), feature = "cuda"))]
    return Device::cuda(0);
    #[cfg(all(not(feature = "flex"), not(feature = "cuda"), feature = "wgpu"))]
    return Device::wgpu(burn::tensor::DeviceKind::DefaultDevice);
    #[cfg(not(any(feature = "flex", feature = "cuda", feature = "wgpu")))]
    return Device::default();
}

impl fmt::Display for OpenDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_are_parsed() {
        assert_eq!("auto".parse(), Ok(DeviceChoice::Auto));
        assert_eq!("cuda:1".parse(), Ok(DeviceChoice::Gpu(Interface::Cuda, 1)));
        assert_eq!("wgpu".parse(), Ok(DeviceChoice::Gpu(Interface::Wgpu, 0)));
        for bad in ["", "gpu", "cpu:1", "cuda:x", "auto:0"] {
            assert!(bad.parse::<DeviceChoice>().unwrap_err().contains("expected auto"), "{bad}");
        }
    }

    #[test]
    fn lists_of_devices_name_each_once() {
        let list = DeviceChoice::list;
        let cuda = |i| DeviceChoice::Gpu(Interface::Cuda, i);
        assert_eq!(list("cuda:1,cuda"), Ok(vec![cuda(1), cuda(0)]));
        assert_eq!(list("auto"), Ok(vec![DeviceChoice::Auto]));
        for (text, expected) in [
            ("cuda,cuda:0", "names cuda:0 twice"),
            ("cpu,cpu", "names cpu twice"),
            ("auto,cpu", "stands alone"),
            ("vulkan:0,wgpu:1", "the same cards"),
            ("cpu,", "expected auto"),
            ("cpu, cuda", "expected auto"),
        ] {
            let error = list(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
        let opened = open_all("cpu").unwrap();
        assert_eq!((opened.len(), opened[0].name.as_str(), opened[0].generator.as_str()), (1, "cpu", ""));
        assert!(open_all("cpu,cpu").is_err());
    }

    #[test]
    fn vulkan_is_wgpu() {
        let error = open(DeviceChoice::Gpu(Interface::Vulkan, 7)).unwrap_err();
        assert!(error.contains("--features wgpu") || error.contains("no device vulkan:7"), "{error}");
    }

    #[test]
    fn the_code_generator_is_the_one_in_the_lock_file() {
        let lock = include_str!("../../../Cargo.lock");
        for named in Interface::ALL.map(Interface::generator).join(", ").split(", ") {
            let Some((name, version)) = named.split_once(' ') else { continue };
            let entry = format!("name = \"{name}\"\nversion = \"{version}\"\n");
            assert!(lock.contains(&entry), "{name} is not locked at {version}: change the text in this file");
        }
    }

    #[test]
    fn the_cpu_is_always_there() {
        assert_eq!(open(DeviceChoice::Cpu).unwrap().name, "cpu");
        assert!(probe().iter().any(|p| p.name == "cpu" && p.compiled));
    }
}
