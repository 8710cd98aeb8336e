//! Which device computes: what is compiled in, what is there, and the choice at run time.
//!
//! `Device::default()` is never used: it picks by the order of compile-time features, and using an absent device panics.

use std::fmt;
use std::str::FromStr;

use burn::tensor::Device;
#[cfg(any(feature = "wgpu", feature = "cuda"))]
use burn::tensor::DeviceType;

/// What `--device` says.
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
    /// Vulkan through wgpu.
    Vulkan,
    /// Whatever wgpu finds best.
    Wgpu,
}

impl Interface {
    const ALL: [Self; 3] = [Self::Cuda, Self::Vulkan, Self::Wgpu];

    /// As `--device` spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cuda => "cuda",
            Self::Vulkan => "vulkan",
            Self::Wgpu => "wgpu",
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

/// A device that can be used.
#[derive(Clone, Debug)]
pub struct OpenDevice {
    /// For tensors.
    pub device: Device,
    /// For people and provenance, such as `cpu` or `cuda:0`.
    pub name: String,
    /// Whether several threads may share it.
    pub is_cpu: bool,
}

/// What is known of one interface.
#[derive(Clone, Debug)]
pub struct Probe {
    /// `cpu`, `cuda`, `vulkan` or `wgpu`.
    pub name: &'static str,
    /// Whether this binary has it.
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
    let devices: Vec<String> = enumerate(interface).iter().map(|d| format!("{d:?}")).collect();
    let compiled = is_compiled(interface);
    let note = match (compiled, devices.is_empty(), interface) {
        (false, _, _) => format!("not compiled in: build with `--features {}`", interface.name()),
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
        Interface::Vulkan => cfg!(feature = "vulkan"),
        Interface::Wgpu => cfg!(feature = "wgpu"),
    }
}

fn enumerate(interface: Interface) -> Vec<Device> {
    match interface {
        #[cfg(feature = "cuda")]
        Interface::Cuda => Device::enumerate(DeviceType::Cuda).into_vec(),
        #[cfg(feature = "vulkan")]
        Interface::Vulkan => hardware(Device::enumerate(DeviceType::Vulkan).into_vec()),
        #[cfg(feature = "wgpu")]
        Interface::Wgpu => hardware(Device::enumerate(DeviceType::Wgpu).into_vec()),
        #[allow(unreachable_patterns)]
        _ => Vec::new(),
    }
}

/// Without software renderers, which are slower than the CPU itself.
#[cfg(feature = "wgpu")]
fn hardware(devices: Vec<Device>) -> Vec<Device> {
    devices.into_iter().filter(|d| !format!("{d:?}").contains("Cpu")).collect()
}

/// Opens the chosen device.
///
/// # Errors
/// When it is not compiled in or not there.
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
        return Err(format!(
            "this binary was built without {name}: build it with `--features {name}`, or use `--device cpu`"
        ));
    }
    let devices = enumerate(interface);
    let found = devices.len();
    let device = devices.into_iter().nth(index).ok_or_else(|| {
        format!("there is no device {name}:{index} ({found} found); `assay doctor` says what there is")
    })?;
    Ok(OpenDevice { device, name: format!("{name}:{index}"), is_cpu: false })
}

#[cfg(feature = "flex")]
fn cpu() -> Result<OpenDevice, String> {
    Ok(OpenDevice { device: Device::flex(), name: "cpu".to_owned(), is_cpu: true })
}

#[cfg(not(feature = "flex"))]
fn cpu() -> Result<OpenDevice, String> {
    Err("this binary was built without the CPU: build it with `--features flex`".to_owned())
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
    fn the_cpu_is_always_there() {
        assert_eq!(open(DeviceChoice::Cpu).unwrap().name, "cpu");
        assert!(probe().iter().any(|p| p.name == "cpu" && p.compiled));
    }
}
