//! The closed list of what a pickle may name, and what calling it gives.

use crate::machine::Machine;
use crate::value::{ArrayState, Id, Object, View};
use crate::{PickleError, Reading, damaged};

/// Function or class that a pickle may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Callable {
    /// `torch._utils._rebuild_tensor`, `_rebuild_tensor_v2`
    RebuildTensor,
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

pub(crate) fn callable(module: &str, name: &str) -> Option<Callable> {
    Some(match (module, name) {
        ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => Callable::RebuildTensor,
        ("torch._utils", "_rebuild_parameter") | ("torch", "Size") => Callable::First,
        ("collections", "OrderedDict" | "defaultdict")
        | ("haiku._src.data_structures", "FlatMapping" | "FlatMap" | "frozendict") => Callable::Dict,
        ("byol.byol_experiment" | "byol_experiment", "_ByolExperimentState") => Callable::Named(BYOL_STATE),
        ("torch", "DoubleStorage") => Callable::Storage("f64"),
        ("torch", "FloatStorage") => Callable::Storage("f32"),
        ("torch", "HalfStorage") => Callable::Storage("f16"),
        ("torch", "BFloat16Storage") => Callable::Storage("bf16"),
        ("torch", "LongStorage") => Callable::Storage("i64"),
        ("torch", "IntStorage") => Callable::Storage("i32"),
        ("torch", "ShortStorage") => Callable::Storage("i16"),
        ("torch", "CharStorage") => Callable::Storage("i8"),
        ("torch", "ByteStorage") => Callable::Storage("u8"),
        ("torch", "BoolStorage") => Callable::Storage("bool"),
        ("numpy.core.multiarray" | "numpy._core.multiarray", "_reconstruct") => Callable::NewArray,
        ("numpy.core.numeric" | "numpy._core.numeric", "_frombuffer") => Callable::ArrayOfBuffer,
        ("jax._src.array", "_reconstruct_array")
        | ("jax._src.device_array", "reconstruct_device_array")
        | ("dill._dill" | "dill.dill", "_create_array") => Callable::ArrayOfState,
        ("dill._dill" | "dill.dill", "_create_namedtuple") => Callable::NewNamed,
        ("numpy", "dtype") => Callable::Dtype,
        ("_codecs", "encode") => Callable::Encode,
        ("torch", "device" | "float32" | "float16" | "bfloat16" | "float64" | "int64" | "int32")
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
        let Object::Tuple(arguments) = self.object(arguments) else { return Err(damaged()) };
        let function = match self.object(function) {
            Object::Callable(function) => *function,
            Object::Opaque => return Ok(Object::Opaque),
            Object::Fields(fields) if fields.len() == arguments.len() => {
                let pairs: Vec<(Id, Id)> = fields.iter().copied().zip(arguments.iter().copied()).collect();
                self.charge(pairs.len())?;
                return Ok(Object::Dict(pairs));
            }
            _ => return Err(damaged()),
        };
        if function == Callable::Harmless {
            return Ok(Object::Opaque);
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
        let arguments = &arguments[..];
        match function {
            Callable::NewArray => Ok(Object::Array(None)),
            Callable::RebuildTensor => self.rebuild_tensor(arguments),
            Callable::First => Ok(self.object(*arguments.first().ok_or_else(damaged)?).clone_shallow()?),
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
                _ => Err(damaged()),
            },
            // (function, its arguments, the array's state, …)
            Callable::ArrayOfState => match arguments.get(2) {
                Some(state) => self.array_state(*state).map(Object::Array),
                None => Err(damaged()),
            },
            Callable::Dtype => match self.bytes_of(arguments.first()) {
                Some(name) if name.len() <= MAX_DTYPE => Ok(Object::Dtype(text(name)?.to_owned())),
                _ => Err(damaged()),
            },
            Callable::ArrayOfBuffer => match arguments[..] {
                [data, dtype, shape, order] => {
                    let is_fortran = self.bytes_of(Some(&order)) == Some(b"F");
                    Ok(Object::Array(self.array(shape, dtype, is_fortran, data)?))
                }
                _ => Err(damaged()),
            },
            Callable::Encode => {
                let (characters, codec) = (arguments.first().copied(), arguments.get(1).copied());
                self.encode(characters, codec)
            }
            Callable::Named(_) | Callable::Storage(_) | Callable::Harmless => Err(damaged()),
        }
    }

    /// Gives an object its state. Attributes of dicts and of what is thrown away are passed over.
    pub(crate) fn build(&mut self, object: Id, state: Id) -> Reading<()> {
        let built = match (self.object(object), self.object(state)) {
            (Object::Array(_), Object::Tuple(_)) => {
                let array = self.array_state(state)?;
                self.charge(array.as_ref().map_or(0, |array| array.shape.len()))?;
                Object::Array(array)
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

    /// (version, shape, dtype, is Fortran's order, data); absent for arrays of objects.
    fn array_state(&self, state: Id) -> Reading<Option<Box<ArrayState>>> {
        let Object::Tuple(state) = self.object(state) else { return Err(damaged()) };
        let [_, shape, dtype, is_fortran, data] = state[..] else { return Err(damaged()) };
        let Object::Bool(is_fortran) = self.object(is_fortran) else { return Err(damaged()) };
        self.array(shape, dtype, *is_fortran, data)
    }

    fn array(&self, shape: Id, dtype: Id, is_fortran: bool, data: Id) -> Reading<Option<Box<ArrayState>>> {
        let Object::Dtype(dtype) = self.object(dtype) else { return Err(damaged()) };
        let is_numbers = matches!(self.object(data), Object::Bytes(_));
        let state = ArrayState { shape: self.sizes(shape)?, dtype: dtype.clone(), is_fortran, data };
        Ok(is_numbers.then(|| Box::new(state)))
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

    fn sizes(&self, shape: Id) -> Reading<Vec<usize>> {
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

    /// `(storage, offset, size, stride, …)`, where the storage is `('storage', torch.FloatStorage, key, …)`.
    fn rebuild_tensor(&self, arguments: &[Id]) -> Reading<Object<'b>> {
        let [storage, offset, shape, stride, ..] = arguments[..] else { return Err(damaged()) };
        let (Object::Persistent(id), Object::Int(offset)) = (self.object(storage), self.object(offset)) else {
            return Err(damaged());
        };
        let Object::Tuple(id) = self.object(*id) else { return Err(damaged()) };
        let [tag, kind, key, ..] = id[..] else { return Err(damaged()) };
        let (Some(b"storage"), &Object::Callable(Callable::Storage(elements)), Some(key)) =
            (self.bytes_of(Some(&tag)), self.object(kind), self.bytes_of(Some(&key)))
        else {
            return Err(PickleError::Refused("a storage of an unknown kind".to_owned()));
        };
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
}

impl Object<'_> {
    /// A copy of something small.
    fn clone_shallow(&self) -> Reading<Self> {
        match self {
            Self::Tuple(items) if items.len() > MAX_AXES => Err(damaged()),
            Self::Tensor(_) | Self::Tuple(_) | Self::Int(_) | Self::None | Self::Opaque => Ok(self.clone()),
            _ => Err(damaged()),
        }
    }
}

fn text(bytes: &[u8]) -> Reading<&str> {
    std::str::from_utf8(bytes).map_err(|_| damaged())
}
