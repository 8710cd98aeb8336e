//! The closed list of what a pickle may name and have called, and what calling it gives.
//!
//! Any other name stands for itself: it is kept as [`Object::Global`], and what calling it would have made as [`Object::Foreign`],
//! which says by whom it was made and nothing more. So the tensors of a file can be read though there are objects of other
//! libraries beside them, and whoever needs one of these can say what it is.

use crate::machine::Machine;
use crate::value::{Id, Object, View};
use crate::{PickleError, Reading, damaged};

/// Function or class that a pickle may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Callable {
    /// `torch._utils._rebuild_tensor`, `_rebuild_tensor_v2`
    RebuildTensor,
    /// `torch._utils._rebuild_tensor_v3`, which names the type of the numbers besides the storage.
    RebuildTyped,
    /// `torch._tensor._rebuild_from_type_v2`: a function, the class of its result, its arguments and attributes.
    RebuildAs,
    /// `torch.Tensor`, `torch.nn.Parameter`: classes whose objects are their numbers.
    TensorClass,
    /// A type of numbers, such as `torch.float32`.
    Type(&'static str),
    /// A function that gives its first argument: `torch._utils._rebuild_parameter`, `torch.Size`.
    First,
    /// `collections.OrderedDict`, `defaultdict`; Haiku's mappings.
    Dict,
    /// A named tuple, which becomes a dict.
    Named(&'static [&'static str]),
    /// `dill._dill._create_namedtuple`: the type of a named tuple.
    NewNamed,
    /// The type of a storage's elements, such as `f32`.
    Storage(&'static str),
    /// The type of a storage whose elements are not read, and their bytes.
    OtherStorage(&'static str, u8),
    /// `numpy.core.multiarray._reconstruct`
    NewArray,
    /// `numpy.core.numeric._frombuffer`: how protocol 5 writes arrays.
    ArrayOfBuffer,
    /// `jax._src.array._reconstruct_array`, `dill._dill._create_array`: numpy's function, its arguments and the state.
    ArrayOfState,
    /// `numpy.dtype`
    Dtype,
    /// `_codecs.encode`: how Python 3 writes bytes in old protocols.
    Encode,
    /// Things that logs, arguments and optimizers are made of: taken and thrown away.
    Harmless,
}

/// Fields of the experiment state in the checkpoints of BYOL (Grill et al. 2020), as its authors' code declares them.
const BYOL_STATE: &[&str] = &["online_params", "target_params", "online_state", "target_state", "opt_state"];

/// Modules and functions that no checkpoint needs and that run commands or code where Python loads the file: a pickle that names
/// one is refused as a whole, so that its reader learns what it is.
const ATTACKS: [(&str, &str); 17] = [
    ("os", ""),
    ("posix", ""),
    ("nt", ""),
    ("subprocess", ""),
    ("socket", ""),
    ("shutil", ""),
    ("pty", ""),
    ("runpy", ""),
    ("webbrowser", ""),
    ("ctypes", ""),
    ("commands", ""),
    ("builtins", "eval"),
    ("builtins", "exec"),
    ("builtins", "compile"),
    ("builtins", "__import__"),
    ("builtins", "open"),
    ("importlib", ""),
];

/// Tells whether a name is on the list of [`ATTACKS`].
pub(crate) fn is_attack(module: &str, name: &str) -> bool {
    let module = if module == "__builtin__" { "builtins" } else { module };
    // `os.path` and the like; functions of classes such as `PathLike` are named by their own module.
    let root = module.split('.').next().unwrap_or_default();
    ATTACKS.iter().any(|(from, what)| if what.is_empty() { *from == root } else { *from == module && *what == name })
}

pub(crate) fn callable(module: &str, name: &str) -> Option<Callable> {
    Some(match (module, name) {
        ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => Callable::RebuildTensor,
        ("torch._utils", "_rebuild_tensor_v3") => Callable::RebuildTyped,
        ("torch._tensor" | "torch.tensor", "_rebuild_from_type" | "_rebuild_from_type_v2") => Callable::RebuildAs,
        ("torch", "Tensor") | ("torch.nn.parameter", "Parameter" | "Buffer") | ("torch._tensor", "Tensor") => {
            Callable::TensorClass
        }
        ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") | ("torch", "Size") => Callable::First,
        ("collections", "OrderedDict" | "defaultdict")
        | ("haiku._src.data_structures", "FlatMapping" | "FlatMap" | "frozendict") => Callable::Dict,
        ("byol.byol_experiment" | "byol_experiment", "_ByolExperimentState") => Callable::Named(BYOL_STATE),
        ("torch", storage) if storage.ends_with("Storage") => torch_storage(storage)?,
        ("torch.storage", "UntypedStorage") => Callable::OtherStorage("bytes", 1),
        ("torch", "float64" | "double") => Callable::Type("f64"),
        ("torch", "float32" | "float") => Callable::Type("f32"),
        ("torch", "float16" | "half") => Callable::Type("f16"),
        ("torch", "bfloat16") => Callable::Type("bf16"),
        ("torch", "int64" | "long") => Callable::Type("i64"),
        ("torch", "int32" | "int") => Callable::Type("i32"),
        ("torch", "int16" | "short") => Callable::Type("i16"),
        ("torch", "int8") => Callable::Type("i8"),
        ("torch", "uint8") => Callable::Type("u8"),
        ("torch", "bool") => Callable::Type("bool"),
        ("numpy.core.multiarray" | "numpy._core.multiarray", "_reconstruct") => Callable::NewArray,
        ("numpy.core.numeric" | "numpy._core.numeric", "_frombuffer") => Callable::ArrayOfBuffer,
        ("jax._src.array", "_reconstruct_array")
        | ("jax._src.device_array", "reconstruct_device_array")
        | ("dill._dill" | "dill.dill", "_create_array") => Callable::ArrayOfState,
        ("dill._dill" | "dill.dill", "_create_namedtuple") => Callable::NewNamed,
        ("numpy", "dtype") => Callable::Dtype,
        ("_codecs", "encode") => Callable::Encode,
        ("torch", "device")
        | ("argparse", "Namespace")
        | ("numpy", "ndarray")
        | ("numpy.core.multiarray" | "numpy._core.multiarray", "scalar")
        | (
            "builtins" | "__builtin__",
            "set" | "frozenset" | "list" | "dict" | "tuple" | "int" | "float" | "complex" | "str" | "bytes"
            | "bytearray" | "slice" | "range",
        )
        | ("datetime", "datetime" | "date" | "timedelta")
        | ("pathlib", "Path" | "PosixPath" | "PurePosixPath" | "WindowsPath")
        | ("byol.utils.optimizers", "LarsState" | "ScaleByLarsState")
        | ("optax._src.base" | "optax._src.transform" | "optax._src.combine", _) => Callable::Harmless,
        _ => return None,
    })
}

fn torch_storage(name: &str) -> Option<Callable> {
    Some(match name {
        "DoubleStorage" => Callable::Storage("f64"),
        "FloatStorage" => Callable::Storage("f32"),
        "HalfStorage" => Callable::Storage("f16"),
        "BFloat16Storage" => Callable::Storage("bf16"),
        "LongStorage" => Callable::Storage("i64"),
        "IntStorage" => Callable::Storage("i32"),
        "ShortStorage" => Callable::Storage("i16"),
        "CharStorage" => Callable::Storage("i8"),
        "ByteStorage" => Callable::Storage("u8"),
        "BoolStorage" => Callable::Storage("bool"),
        "ComplexFloatStorage" => Callable::OtherStorage("complex numbers", 8),
        "ComplexDoubleStorage" => Callable::OtherStorage("complex numbers", 16),
        "QInt8Storage" | "QUInt8Storage" | "QUInt4x2Storage" | "QUInt2x4Storage" => {
            Callable::OtherStorage("quantised numbers", 1)
        }
        "QInt32Storage" => Callable::OtherStorage("quantised numbers", 4),
        "UntypedStorage" => Callable::OtherStorage("bytes", 1),
        _ => return None,
    })
}

/// numpy allows 64.
const MAX_AXES: usize = 64;
/// No function of the list takes more, but for those whose arguments are thrown away.
const MAX_ARGUMENTS: usize = 64;
const MAX_KEY: usize = 64;
const MAX_DTYPE: usize = 64;
const MAX_FIELDS: usize = 64;

impl<'b> Machine<'b> {
    /// Calls `function` with a tuple of arguments.
    pub(crate) fn call(&mut self, function: Id, arguments: Id) -> Reading<Object<'b>> {
        let Object::Tuple(arguments) = self.object(arguments) else {
            // What another library's function made of its arguments.
            return if self.is_unread(arguments) { Ok(Object::Foreign(function)) } else { Err(damaged()) };
        };
        let called = match self.object(function) {
            Object::Callable(called) => *called,
            Object::Opaque => return Ok(Object::Opaque),
            Object::Global(_) | Object::Foreign(_) | Object::Persistent(_) => return Ok(Object::Foreign(function)),
            Object::Fields(fields) if fields.len() == arguments.len() => {
                let pairs: Vec<(Id, Id)> = fields.iter().copied().zip(arguments.iter().copied()).collect();
                self.charge(pairs.len())?;
                return Ok(Object::Dict(pairs));
            }
            _ => return Err(damaged()),
        };
        if matches!(called, Callable::Harmless | Callable::TensorClass | Callable::Type(_)) {
            return Ok(if called == Callable::Harmless { Object::Opaque } else { Object::Foreign(function) });
        }
        if arguments.len() > MAX_ARGUMENTS {
            return Err(damaged());
        }
        // What is made of remembered arguments is a copy of their parts.
        let parts = arguments.iter().map(|id| match self.object(*id) {
            Object::Tuple(items) => items.len(),
            Object::Tensor(view) => 2 * view.shape.len() + 2,
            _ => 0,
        });
        let (cost, arguments) = (parts.sum(), arguments.to_vec());
        self.charge(cost)?;
        self.make(called, function, &arguments)
    }

    /// What a function of the list makes; something foreign, where its arguments are.
    fn make(&mut self, called: Callable, function: Id, arguments: &[Id]) -> Reading<Object<'b>> {
        let first_unread = arguments.iter().copied().find(|id| self.is_unread(*id));
        match called {
            Callable::NewArray => Ok(Object::Array(None)),
            Callable::RebuildTensor | Callable::RebuildTyped => self.rebuild_tensor(called, function, arguments),
            Callable::RebuildAs => self.rebuild_as(arguments),
            Callable::First => Ok(self.object(*arguments.first().ok_or_else(damaged)?).clone_shallow(function)),
            Callable::Dict => match arguments.first().copied() {
                Some(items) => self.initial_items(items),
                None => Ok(Object::Dict(Vec::new())),
            },
            Callable::Named(fields) if fields.len() == arguments.len() => {
                let key = |field: &&'static str| self.add(Object::Bytes(field.as_bytes().into()));
                let keys = fields.iter().map(key).collect::<Reading<Vec<_>>>()?;
                Ok(Object::Dict(keys.into_iter().zip(arguments.iter().copied()).collect()))
            }
            // (name, names of the fields, …)
            Callable::NewNamed => match arguments.get(1).map(|fields| self.object(*fields)) {
                Some(Object::Tuple(fields)) if fields.len() <= MAX_FIELDS => Ok(Object::Fields(fields.clone())),
                _ => Ok(Object::Foreign(function)),
            },
            // (function, its arguments, the array's state, …)
            Callable::ArrayOfState => match arguments.get(2) {
                Some(state) if !self.is_unread(*state) => self.array_state(*state),
                _ => Ok(Object::Foreign(function)),
            },
            Callable::Dtype => match self.bytes_of(arguments.first()) {
                Some(name) if name.len() <= MAX_DTYPE => Ok(Object::Dtype(text(name)?.to_owned())),
                _ => Ok(Object::Foreign(arguments.first().copied().unwrap_or(function))),
            },
            Callable::ArrayOfBuffer => match arguments[..] {
                [data, dtype, shape, order] => {
                    let is_fortran = self.bytes_of(Some(&order)) == Some(b"F");
                    self.array(shape, dtype, is_fortran, data)
                }
                _ => Err(damaged()),
            },
            Callable::Encode => {
                let (characters, codec) = (arguments.first().copied(), arguments.get(1).copied());
                self.encode(characters, codec)
            }
            _ => first_unread.map(Object::Foreign).ok_or_else(damaged),
        }
    }

    /// Gives an object its state. Attributes of dicts and of what is thrown away are passed over.
    pub(crate) fn build(&mut self, object: Id, state: Id) -> Reading<()> {
        let built = match (self.object(object), self.object(state)) {
            (Object::Array(_), Object::Tuple(_)) => {
                let array = self.array_state(state)?;
                let axes = if let Object::Array(Some(array)) = &array { array.shape.len() } else { 0 };
                self.charge(axes)?;
                array
            }
            // (version, byte order, …)
            (Object::Dtype(dtype), Object::Tuple(state)) => {
                let Some(order) = self.bytes_of(state.get(1)) else { return Ok(()) };
                let order = text(order)?;
                if order.len() != 1 {
                    return Err(damaged());
                }
                Object::Dtype(format!("{order}{}", dtype.trim_start_matches(['<', '>', '|', '='])))
            }
            _ => return Ok(()),
        };
        self.objects[object as usize] = built;
        Ok(())
    }

    /// Every character of a string as a byte.
    fn encode(&mut self, characters: Option<Id>, codec: Option<Id>) -> Reading<Object<'b>> {
        let (Some(characters), Some(b"latin1" | b"latin-1")) =
            (self.bytes_of(characters.as_ref()), self.bytes_of(codec.as_ref()))
        else {
            return Ok(Object::Opaque);
        };
        let byte = |c: char| u8::try_from(u32::from(c)).map_err(|_| damaged());
        let bytes = text(characters)?.chars().map(byte).collect::<Reading<Vec<u8>>>()?;
        self.charge(bytes.len())?;
        Ok(Object::Bytes(bytes.into()))
    }

    /// A mapping, or `[[key, value], …]`, as protocols 0 and 1 write it.
    fn initial_items(&mut self, items: Id) -> Reading<Object<'b>> {
        let pair = |id: &Id| match self.object(*id) {
            Object::Tuple(pair) if pair.len() == 2 => Ok((pair[0], pair[1])),
            Object::List(pair) if pair.len() == 2 => Ok((pair[0], pair[1])),
            _ => Err(damaged()),
        };
        let pairs: Vec<(Id, Id)> = match self.object(items) {
            Object::Dict(pairs) => pairs.clone(),
            Object::List(items) => items.iter().map(pair).collect::<Reading<_>>()?,
            _ => Vec::new(),
        };
        self.charge(pairs.len())?;
        Ok(Object::Dict(pairs))
    }

    pub(crate) fn sizes(&self, shape: Id) -> Reading<Vec<usize>> {
        let Object::Tuple(items) = self.object(shape) else { return Err(damaged()) };
        if items.len() > MAX_AXES {
            return Err(damaged());
        }
        let size = |id: &Id| match self.object(*id) {
            Object::Int(value) => usize::try_from(*value).map_err(|_| damaged()),
            _ => Err(damaged()),
        };
        items.iter().map(size).collect()
    }

    /// `(function, class, arguments, attributes)`: a tensor with attributes is its numbers; an object of another class is what
    /// that class makes of them.
    fn rebuild_as(&mut self, arguments: &[Id]) -> Reading<Object<'b>> {
        let [function, class, arguments, ..] = arguments[..] else { return Err(damaged()) };
        let rebuilds = matches!(
            self.object(function),
            Object::Callable(Callable::RebuildTensor | Callable::RebuildTyped | Callable::First)
        );
        match self.object(class) {
            Object::Callable(Callable::TensorClass) if rebuilds => self.call(function, arguments),
            Object::Callable(Callable::TensorClass) => Ok(Object::Foreign(function)),
            _ => Ok(Object::Foreign(class)),
        }
    }

    /// `(storage, offset, size, stride, …)`, where the storage is `('storage', torch.FloatStorage, key, …)`; with the type of the
    /// numbers in the third version.
    fn rebuild_tensor(&self, called: Callable, function: Id, arguments: &[Id]) -> Reading<Object<'b>> {
        let [storage, offset, shape, stride, ref rest @ ..] = arguments[..] else { return Err(damaged()) };
        if self.is_unread(storage) {
            return Ok(Object::Foreign(storage));
        }
        let (Object::Persistent(id), Object::Int(offset)) = (self.object(storage), self.object(offset)) else {
            return Err(damaged());
        };
        let Object::Tuple(id) = self.object(*id) else { return Err(damaged()) };
        let [tag, kind, key, ..] = id[..] else { return Err(damaged()) };
        let (Some(b"storage"), Some(key)) = (self.bytes_of(Some(&tag)), self.bytes_of(Some(&key))) else {
            return Err(PickleError::Refused("a storage of an unknown kind".to_owned()));
        };
        // (…, requires gradients, hooks, type)
        let typed = if called == Callable::RebuildTyped { *rest.get(2).ok_or_else(damaged)? } else { kind };
        let elements = match self.object(typed) {
            Object::Callable(Callable::Storage(elements) | Callable::Type(elements)) => *elements,
            _ => return Ok(Object::Foreign(typed)),
        };
        // Metadata says that the numbers are negated or conjugated when they are read.
        let metadata = rest.get(if called == Callable::RebuildTyped { 3 } else { 2 });
        if metadata.is_some_and(|id| matches!(self.object(*id), Object::Dict(pairs) if !pairs.is_empty())) {
            return Ok(Object::Foreign(function));
        }
        let (shape, stride) = (self.sizes(shape)?, self.sizes(stride)?);
        let offset = usize::try_from(*offset).map_err(|_| damaged())?;
        if shape.len() != stride.len() || key.len() > MAX_KEY {
            return Err(damaged());
        }
        let view = View { storage: text(key)?.to_owned(), elements, offset, shape, stride };
        Ok(Object::Tensor(Box::new(view)))
    }

    pub(crate) fn bytes_of(&self, id: Option<&Id>) -> Option<&[u8]> {
        if let Object::Bytes(bytes) = self.object(*id?) { Some(bytes) } else { None }
    }

    /// Tells whether this stands for something that is not read.
    pub(crate) fn is_unread(&self, id: Id) -> bool {
        matches!(self.object(id), Object::Global(_) | Object::Foreign(_) | Object::Opaque)
    }
}

impl Object<'_> {
    /// A copy of something small; of anything else, what `function` has made.
    fn clone_shallow(&self, function: Id) -> Self {
        match self {
            Self::Tuple(items) if items.len() > MAX_AXES => Self::Foreign(function),
            Self::Tensor(_) | Self::Tuple(_) | Self::Int(_) | Self::None | Self::Opaque | Self::Foreign(_) => {
                self.clone()
            }
            _ => Self::Foreign(function),
        }
    }
}

pub(crate) fn text(bytes: &[u8]) -> Reading<&str> {
    std::str::from_utf8(bytes).map_err(|_| damaged())
}
