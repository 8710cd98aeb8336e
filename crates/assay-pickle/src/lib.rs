//! A pickle reader that can build tensors, arrays, dicts, lists and plain values, and nothing else.
//!
//! A pickle is a program for a stack machine that may call any Python function. Here the functions are a closed list
//! ([`Callable`]); any other name is refused before it could be called. Memory is bounded by the number of objects, and an
//! object is never larger than the bytes that describe it.

use std::cell::RefCell;
use std::rc::Rc;

/// Why a pickle is not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PickleError {
    /// It ends early or makes no sense.
    #[error("the pickle ends early or makes no sense")]
    Damaged,
    /// It asks for something that data does not need.
    #[error("its pickle asks for `{0}`, which is refused: only arrays and plain values are read, and no code is run")]
    Refused(String),
    /// It would take too much memory.
    #[error("it is refused as too large: {0}")]
    TooLarge(String),
}

/// A value of a pickle.
#[derive(Clone, Debug)]
pub enum Object {
    /// `None`
    None,
    /// `True`, `False`
    Bool(bool),
    /// An integer of 64 bits.
    Int(i64),
    /// A float.
    Float,
    /// A string, or bytes that are UTF-8.
    Str(Rc<str>),
    /// Other bytes.
    Bytes(Rc<[u8]>),
    /// A tuple.
    Tuple(Rc<[Object]>),
    /// A list; its content is of no use to a checkpoint but for storages' keys.
    List(Rc<RefCell<Vec<Object>>>),
    /// A dict, ordered.
    Dict(Rc<RefCell<Vec<(Object, Object)>>>),
    /// One of the functions that may be called.
    Callable(Callable),
    /// Something outside the pickle, by its id.
    Persistent(Rc<[Object]>),
    /// A tensor: a view into a storage.
    Tensor(Rc<View>),
    /// A numpy array; empty until its state has been read.
    Array(Rc<RefCell<Array>>),
    /// A numpy type of elements, such as `<f4`.
    Dtype(Rc<RefCell<String>>),
    /// Something harmless that no tensor is in.
    Opaque,
}

/// A tensor as a view into a storage.
#[derive(Clone, Debug)]
pub struct View {
    /// Persistent id of the storage.
    pub storage: Rc<[Object]>,
    /// First element.
    pub offset: usize,
    /// Shape.
    pub shape: Vec<usize>,
    /// Elements from one index to the next, for each axis.
    pub stride: Vec<usize>,
}

/// A numpy array.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Array {
    /// Shape.
    pub shape: Vec<usize>,
    /// Type of its elements with their byte order, such as `|u1` or `<f4`.
    pub dtype: String,
    /// Whether the first axis is the fastest.
    pub is_fortran: bool,
    /// Its bytes.
    pub data: Rc<[u8]>,
}

/// What a pickle may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Callable {
    /// `torch._utils._rebuild_tensor`, `_rebuild_tensor_v2`
    RebuildTensor,
    /// `torch._utils._rebuild_parameter`
    RebuildParameter,
    /// `collections.OrderedDict`, `defaultdict`
    Dict,
    /// `torch.Size`
    Tuple,
    /// `torch.FloatStorage` and the like: the type of a storage's elements.
    Storage(&'static str),
    /// `numpy.core.multiarray._reconstruct`
    NewArray,
    /// `numpy.dtype`
    Dtype,
    /// `_codecs.encode`: how Python 3 writes bytes in old protocols.
    Encode,
    /// Things that logs and arguments are made of: taken and thrown away.
    Harmless,
}

fn callable(module: &str, name: &str) -> Option<Callable> {
    Some(match (module, name) {
        ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => Callable::RebuildTensor,
        ("torch._utils", "_rebuild_parameter") => Callable::RebuildParameter,
        ("collections", "OrderedDict" | "defaultdict") => Callable::Dict,
        ("torch", "Size") => Callable::Tuple,
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
        | ("pathlib", "Path" | "PosixPath" | "PurePosixPath" | "WindowsPath") => Callable::Harmless,
        _ => return None,
    })
}

/// Most objects that a pickle may make; the largest published checkpoints make some hundred thousand.
const MOST_OBJECTS: usize = 8 << 20;

/// Reads one pickle from the front of `bytes`; returns the value and how many bytes it took.
///
/// # Errors
/// When it is damaged, names what is not on the list, or makes too many objects.
pub fn read(bytes: &[u8]) -> Result<(Object, usize), PickleError> {
    let mut machine = Machine { bytes, at: 0, stack: Vec::new(), marks: Vec::new(), memo: Vec::new(), made: 0 };
    let value = machine.run()?;
    Ok((value, machine.at))
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    stack: Vec<Object>,
    marks: Vec<usize>,
    memo: Vec<Option<Object>>,
    made: usize,
}

type Reading<T> = Result<T, PickleError>;

fn damaged() -> PickleError {
    PickleError::Damaged
}

impl<'a> Machine<'a> {
    fn take(&mut self, n: usize) -> Reading<&'a [u8]> {
        let end = self.at.checked_add(n).ok_or_else(damaged)?;
        let taken = self.bytes.get(self.at..end).ok_or_else(damaged)?;
        self.at = end;
        Ok(taken)
    }

    fn number<const N: usize>(&mut self) -> Reading<u64> {
        let mut word = [0; 8];
        word[..N].copy_from_slice(self.take(N)?);
        Ok(u64::from_le_bytes(word))
    }

    fn length<const N: usize>(&mut self) -> Reading<usize> {
        usize::try_from(self.number::<N>()?).map_err(|_| damaged())
    }

    fn line(&mut self) -> Reading<&'a str> {
        let rest = &self.bytes[self.at..];
        let end = rest.iter().position(|b| *b == b'\n').ok_or_else(damaged)?;
        self.at += end + 1;
        std::str::from_utf8(&rest[..end]).map_err(|_| damaged())
    }

    fn text(&mut self, n: usize) -> Reading<Object> {
        Ok(plain(self.take(n)?))
    }

    fn push(&mut self, object: Object) -> Reading<()> {
        self.made += 1;
        if self.made > MOST_OBJECTS {
            return Err(PickleError::TooLarge(format!("its pickle makes more than {MOST_OBJECTS} objects")));
        }
        self.stack.push(object);
        Ok(())
    }

    fn pop(&mut self) -> Reading<Object> {
        if self.marks.last().is_some_and(|mark| self.stack.len() <= *mark) {
            return Err(damaged());
        }
        self.stack.pop().ok_or_else(damaged)
    }

    fn pop_mark(&mut self) -> Reading<Vec<Object>> {
        let mark = self.marks.pop().ok_or_else(damaged)?;
        if mark > self.stack.len() {
            return Err(damaged());
        }
        Ok(self.stack.split_off(mark))
    }

    fn store(&mut self, index: usize) -> Reading<()> {
        if index > MOST_OBJECTS {
            return Err(PickleError::TooLarge("its pickle remembers too much".to_owned()));
        }
        let value = self.stack.last().ok_or_else(damaged)?.clone();
        if self.memo.len() <= index {
            self.memo.resize(index + 1, None);
        }
        self.memo[index] = Some(value);
        Ok(())
    }

    fn recall(&mut self, index: usize) -> Reading<()> {
        let value = self.memo.get(index).cloned().flatten().ok_or_else(damaged)?;
        self.push(value)
    }

    fn run(&mut self) -> Reading<Object> {
        loop {
            let code = self.take(1)?[0];
            if code == b'.' {
                return self.pop();
            }
            self.step(code)?;
        }
    }

    fn step(&mut self, code: u8) -> Reading<()> {
        match code {
            0x80 => self.take(1).map(|_| ()),
            0x95 => self.take(8).map(|_| ()),
            b'(' => {
                self.marks.push(self.stack.len());
                if self.marks.len() > MOST_OBJECTS { Err(damaged()) } else { Ok(()) }
            }
            b'0' => self.pop().map(|_| ()),
            b'1' => self.pop_mark().map(|_| ()),
            b'2' => {
                let top = self.stack.last().cloned().ok_or_else(damaged)?;
                self.push(top)
            }
            b'N' | 0x88 | 0x89 | b'I' | b'J' | b'K' | b'M' | b'L' | 0x8a | 0x8b | b'F' | b'G' => self.scalar(code),
            b'S' | b'T' | b'U' | b'V' | b'X' | 0x8c | 0x8d | b'B' | b'C' | 0x8e | 0x96 => self.string(code),
            b'q' | b'r' | b'p' | 0x94 | b'h' | b'j' | b'g' => self.memory(code),
            b'c' | 0x93 | b'R' | 0x81 | 0x92 | b'b' | b'Q' | b'P' => self.object(code),
            _ => self.collection(code),
        }
    }

    fn scalar(&mut self, code: u8) -> Reading<()> {
        let value = match code {
            b'N' => Object::None,
            0x88 | 0x89 => Object::Bool(code == 0x88),
            b'J' => Object::Int(i64::from(self.number::<4>()? as u32 as i32)),
            b'K' => Object::Int(self.number::<1>()? as i64),
            b'M' => Object::Int(self.number::<2>()? as i64),
            b'I' => match self.line()? {
                digit @ ("00" | "01") => Object::Bool(digit == "01"),
                digits => Object::Int(digits.trim().parse().map_err(|_| damaged())?),
            },
            b'L' => Object::Int(self.line()?.trim_end_matches('L').parse().map_err(|_| damaged())?),
            0x8a => {
                let n = self.length::<1>()?;
                self.long(n)?
            }
            0x8b => {
                let n = self.length::<4>()?;
                self.long(n)?
            }
            b'F' => self.line().map(|_| Object::Float)?,
            _ => self.take(8).map(|_| Object::Float)?,
        };
        self.push(value)
    }

    /// An integer of any length; those beyond 64 bits are kept as opaque.
    fn long(&mut self, n: usize) -> Reading<Object> {
        let bytes = self.take(n)?;
        if n > 8 {
            return Ok(Object::Opaque);
        }
        let mut word = [if bytes.last().is_some_and(|b| *b >= 0x80) { 0xff } else { 0 }; 8];
        word[..n].copy_from_slice(bytes);
        Ok(Object::Int(i64::from_le_bytes(word)))
    }

    fn string(&mut self, code: u8) -> Reading<()> {
        let value = match code {
            b'S' | b'V' => Object::Str(self.line()?.trim_matches(['\'', '"']).into()),
            b'U' | 0x8c => {
                let n = self.length::<1>()?;
                self.text(n)?
            }
            b'T' | b'X' => {
                let n = self.length::<4>()?;
                self.text(n)?
            }
            0x8d => {
                let n = self.length::<8>()?;
                self.text(n)?
            }
            _ => {
                let n = match code {
                    b'C' => self.length::<1>()?,
                    b'B' => self.length::<4>()?,
                    _ => self.length::<8>()?,
                };
                plain(self.take(n)?)
            }
        };
        self.push(value)
    }

    fn memory(&mut self, code: u8) -> Reading<()> {
        match code {
            0x94 => self.store(self.memo.len()),
            b'q' | b'r' | b'p' => {
                let index = self.index(code)?;
                self.store(index)
            }
            _ => {
                let index = self.index(code)?;
                self.recall(index)
            }
        }
    }

    fn index(&mut self, code: u8) -> Reading<usize> {
        match code {
            b'q' | b'h' => self.length::<1>(),
            b'r' | b'j' => self.length::<4>(),
            _ => self.line()?.parse().map_err(|_| damaged()),
        }
    }

    fn collection(&mut self, code: u8) -> Reading<()> {
        match code {
            b'}' => self.push(Object::Dict(Rc::default())),
            b']' => self.push(Object::List(Rc::default())),
            b')' => self.push(Object::Tuple(Rc::new([]))),
            0x8f => self.push(Object::Opaque),
            b't' | b'l' | b'd' => {
                let items = self.pop_mark()?;
                let value = match code {
                    b't' => Object::Tuple(items.into()),
                    b'l' => Object::List(Rc::new(RefCell::new(items))),
                    _ => Object::Dict(Rc::new(RefCell::new(pairs(items)?))),
                };
                self.push(value)
            }
            0x85..=0x87 => {
                let n = usize::from(code - 0x84);
                let from = self.stack.len().checked_sub(n).ok_or_else(damaged)?;
                let items = self.stack.split_off(from);
                self.push(Object::Tuple(items.into()))
            }
            b'a' => {
                let value = self.pop()?;
                self.append(vec![value])
            }
            b'e' | 0x90 => {
                let items = self.pop_mark()?;
                self.append(items)
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.insert(vec![(key, value)])
            }
            b'u' => {
                let items = self.pop_mark()?;
                self.insert(pairs(items)?)
            }
            0x91 => {
                self.pop_mark()?;
                self.push(Object::Opaque)
            }
            other => Err(PickleError::Refused(format!("pickle opcode 0x{other:02x}"))),
        }
    }

    fn append(&mut self, items: Vec<Object>) -> Reading<()> {
        match self.stack.last() {
            Some(Object::List(list)) => list.borrow_mut().extend(items),
            Some(Object::Opaque) => {}
            _ => return Err(damaged()),
        }
        Ok(())
    }

    fn insert(&mut self, items: Vec<(Object, Object)>) -> Reading<()> {
        match self.stack.last() {
            Some(Object::Dict(dict)) => dict.borrow_mut().extend(items),
            Some(Object::Opaque) => {}
            _ => return Err(damaged()),
        }
        Ok(())
    }

    fn object(&mut self, code: u8) -> Reading<()> {
        match code {
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.global(module, name)
            }
            0x93 => match (self.pop()?, self.pop()?) {
                (Object::Str(name), Object::Str(module)) => self.global(&module, &name),
                _ => Err(damaged()),
            },
            b'R' | 0x81 => {
                let (arguments, function) = (self.pop()?, self.pop()?);
                let made = call(&function, &arguments)?;
                self.push(made)
            }
            0x92 => {
                let (_, arguments, function) = (self.pop()?, self.pop()?, self.pop()?);
                let made = call(&function, &arguments)?;
                self.push(made)
            }
            b'b' => {
                let state = self.pop()?;
                build(self.stack.last().ok_or_else(damaged)?, &state)
            }
            b'Q' => match self.pop()? {
                Object::Tuple(id) => self.push(Object::Persistent(id)),
                _ => Err(damaged()),
            },
            _ => Err(PickleError::Refused("a persistent id in text form".to_owned())),
        }
    }

    fn global(&mut self, module: &str, name: &str) -> Reading<()> {
        match callable(module, name) {
            Some(function) => self.push(Object::Callable(function)),
            None => Err(PickleError::Refused(format!("{module}.{name}"))),
        }
    }
}

fn pairs(items: Vec<Object>) -> Reading<Vec<(Object, Object)>> {
    if items.len() % 2 == 1 {
        return Err(damaged());
    }
    let mut items = items.into_iter();
    let mut out = Vec::new();
    while let (Some(key), Some(value)) = (items.next(), items.next()) {
        out.push((key, value));
    }
    Ok(out)
}

fn call(function: &Object, arguments: &Object) -> Reading<Object> {
    let Object::Tuple(arguments) = arguments else { return Err(damaged()) };
    match function {
        Object::Callable(Callable::RebuildTensor) => rebuild_tensor(arguments),
        Object::Callable(Callable::RebuildParameter) => arguments.first().cloned().ok_or_else(damaged),
        Object::Callable(Callable::Tuple) => arguments.first().cloned().ok_or_else(damaged),
        Object::Callable(Callable::Dict) => Ok(Object::Dict(Rc::new(RefCell::new(initial_items(arguments)?)))),
        Object::Callable(Callable::NewArray) => Ok(Object::Array(Rc::default())),
        Object::Callable(Callable::Dtype) => match arguments.first() {
            Some(Object::Str(name)) => Ok(Object::Dtype(Rc::new(RefCell::new(name.to_string())))),
            _ => Err(damaged()),
        },
        Object::Callable(Callable::Encode) => match &arguments[..] {
            // Every character is a byte.
            [Object::Str(text), Object::Str(codec)] if matches!(&**codec, "latin1" | "latin-1") => {
                let bytes = text.chars().map(|c| u8::try_from(u32::from(c)).map_err(|_| damaged()));
                Ok(plain(&bytes.collect::<Reading<Vec<u8>>>()?))
            }
            _ => Ok(Object::Opaque),
        },
        Object::Callable(Callable::Harmless) | Object::Opaque => Ok(Object::Opaque),
        _ => Err(damaged()),
    }
}

fn plain(bytes: &[u8]) -> Object {
    std::str::from_utf8(bytes).map_or_else(|_| Object::Bytes(bytes.into()), |text| Object::Str(text.into()))
}

/// Gives an object its state. Attributes of dicts and of what is thrown away are passed over.
fn build(object: &Object, state: &Object) -> Reading<()> {
    match (object, state) {
        // (version, shape, dtype, is Fortran's order, data)
        (Object::Array(array), Object::Tuple(state)) => {
            let [_, shape, Object::Dtype(dtype), Object::Bool(is_fortran), data] = &state[..] else {
                return Err(damaged());
            };
            let data: Rc<[u8]> = match data {
                Object::Bytes(bytes) => Rc::clone(bytes),
                Object::Str(text) => text.as_bytes().into(),
                // Arrays of objects.
                _ => return Ok(()),
            };
            let (shape, dtype) = (sizes(shape)?, dtype.borrow().clone());
            *array.borrow_mut() = Array { shape, dtype, is_fortran: *is_fortran, data };
        }
        // (version, byte order, …)
        (Object::Dtype(dtype), Object::Tuple(state)) => {
            if let Some(Object::Str(order)) = state.get(1) {
                let name = dtype.borrow().trim_start_matches(['<', '>', '|', '=']).to_owned();
                *dtype.borrow_mut() = format!("{order}{name}");
            }
        }
        _ => {}
    }
    Ok(())
}

/// `OrderedDict([[key, value], …])`, as protocol 0 and 1 write it.
fn initial_items(arguments: &[Object]) -> Reading<Vec<(Object, Object)>> {
    let Some(Object::List(list)) = arguments.first() else { return Ok(Vec::new()) };
    let pair = |item: &Object| match item {
        Object::Tuple(pair) if pair.len() == 2 => Ok((pair[0].clone(), pair[1].clone())),
        Object::List(pair) if pair.borrow().len() == 2 => Ok((pair.borrow()[0].clone(), pair.borrow()[1].clone())),
        _ => Err(damaged()),
    };
    list.borrow().iter().map(pair).collect()
}

fn sizes(object: &Object) -> Reading<Vec<usize>> {
    let Object::Tuple(items) = object else { return Err(damaged()) };
    let size = |item: &Object| match item {
        Object::Int(value) => usize::try_from(*value).map_err(|_| damaged()),
        _ => Err(damaged()),
    };
    items.iter().map(size).collect()
}

/// `(storage, offset, size, stride, …)`
fn rebuild_tensor(arguments: &[Object]) -> Reading<Object> {
    let [Object::Persistent(storage), Object::Int(offset), shape, stride, ..] = arguments else {
        return Err(damaged());
    };
    let (shape, stride) = (sizes(shape)?, sizes(stride)?);
    let offset = usize::try_from(*offset).map_err(|_| damaged())?;
    if shape.len() != stride.len() || shape.len() > 8 {
        return Err(damaged());
    }
    Ok(Object::Tensor(Rc::new(View { storage: Rc::clone(storage), offset, shape, stride })))
}

impl Object {
    /// The value of a key, where this is a dict.
    pub fn entry(&self, key: &str) -> Option<Object> {
        let Self::Dict(dict) = self else { return None };
        let dict = dict.borrow();
        dict.iter().find(|(k, _)| matches!(k, Self::Str(k) if &**k == key)).map(|(_, v)| v.clone())
    }

    /// The items, where this is a list or a tuple.
    pub fn items(&self) -> Option<Vec<Object>> {
        match self {
            Self::List(list) => Some(list.borrow().clone()),
            Self::Tuple(items) => Some(items.to_vec()),
            _ => None,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_function_that_is_not_on_the_list_is_refused_by_name() {
        // cos\nsystem\n(S'echo hi'\ntR.
        let error = read(b"cos\nsystem\n(S'echo hi'\ntR.").unwrap_err();
        assert!(error.to_string().contains("os.system"), "{error}");
        let stacked = b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93.";
        assert!(read(stacked).unwrap_err().to_string().contains("builtins.eval"));
    }

    #[test]
    fn nonsense_is_an_error() {
        for bytes in [
            &b""[..],
            b".",
            b"t.",
            b"(",
            b"0.",
            b"h\x05.",
            b"\x8a\xff.",
            b"}s.",
            b"(K\x01d.",
            b"\x85.",
            b"R.",
            b"X\xff\xff\xff\xff.",
        ] {
            assert!(read(bytes).is_err(), "{bytes:?}");
        }
        assert!(read(b"r\xff\xff\xff\xff.").is_err());
        assert!(read(b"Nr\xff\xff\xff\x7f.").is_err());
    }

    #[test]
    fn arrays_of_numpy() {
        // What Python 2 writes for `numpy.array([[1, 200]], dtype="u1")`.
        let mut bytes =
            b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR(K\x01K\x01K\x02\x86"
                .to_vec();
        bytes.extend(b"cnumpy\ndtype\n(U\x02u1K\x00K\x01tR(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x02\x01\xc8tb.");
        let Object::Array(array) = read(&bytes).unwrap().0 else { panic!("an array") };
        let expected = Array { shape: vec![1, 2], dtype: "|u1".into(), is_fortran: false, data: [1, 200][..].into() };
        assert_eq!(*array.borrow(), expected);
    }

    #[test]
    fn plain_values() {
        let (value, used) =
            read(b"\x80\x02}q\x00(X\x01\x00\x00\x00aK\x07X\x01\x00\x00\x00b\x8a\x01\xffu.rest").unwrap();
        assert_eq!(used, 25);
        let Object::Dict(dict) = value else { panic!("a dict") };
        assert!(matches!(dict.borrow()[0].1, Object::Int(7)));
        assert!(matches!(dict.borrow()[1].1, Object::Int(-1)));
    }
}
