//! A pickle reader that can build tensors, dicts, lists and plain values, and nothing else.
//!
//! A pickle is a program for a stack machine that may call any Python function. Here the functions are a closed list
//! ([`Callable`]); any other name is refused before it could be called. Memory is bounded by the number of objects, and an
//! object is never larger than the bytes that describe it.

use std::cell::RefCell;
use std::rc::Rc;

use super::CheckpointError;

/// A value of a pickle.
#[derive(Clone, Debug)]
pub enum Object {
    /// `None`
    None,
    /// `True`, `False`
    Bool,
    /// An integer of 64 bits.
    Int(i64),
    /// A float.
    Float,
    /// A string.
    Str(Rc<str>),
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
        ("torch", "device" | "float32" | "float16" | "bfloat16" | "float64" | "int64" | "int32")
        | ("argparse", "Namespace")
        | ("numpy", "dtype" | "ndarray")
        | ("numpy.core.multiarray" | "numpy._core.multiarray", "scalar" | "_reconstruct")
        | ("_codecs", "encode")
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
const DAMAGED: &str = "the pickle ends early or makes no sense";

/// Reads one pickle from the front of `bytes`; returns the value and how many bytes it took.
pub fn read(bytes: &[u8]) -> Result<(Object, usize), CheckpointError> {
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

type Reading<T> = Result<T, CheckpointError>;

fn damaged() -> CheckpointError {
    CheckpointError::Damaged(DAMAGED.to_owned())
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
        let bytes = self.take(n)?;
        Ok(Object::Str(String::from_utf8_lossy(bytes).into()))
    }

    fn push(&mut self, object: Object) -> Reading<()> {
        self.made += 1;
        if self.made > MOST_OBJECTS {
            return Err(CheckpointError::TooLarge(format!("its pickle makes more than {MOST_OBJECTS} objects")));
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
            return Err(CheckpointError::TooLarge("its pickle remembers too much".to_owned()));
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
            0x88 | 0x89 => Object::Bool,
            b'J' => Object::Int(i64::from(self.number::<4>()? as u32 as i32)),
            b'K' => Object::Int(self.number::<1>()? as i64),
            b'M' => Object::Int(self.number::<2>()? as i64),
            b'I' => match self.line()? {
                "00" | "01" => Object::Bool,
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
                self.take(n).map(|_| Object::Opaque)?
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
            other => Err(CheckpointError::Refused(format!("pickle opcode 0x{other:02x}"))),
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
            // The state of an object: attributes of a dict or of something thrown away.
            b'b' => self.pop().map(|_| ()),
            b'Q' => match self.pop()? {
                Object::Tuple(id) => self.push(Object::Persistent(id)),
                _ => Err(damaged()),
            },
            _ => Err(CheckpointError::Refused("a persistent id in text form".to_owned())),
        }
    }

    fn global(&mut self, module: &str, name: &str) -> Reading<()> {
        match callable(module, name) {
            Some(function) => self.push(Object::Callable(function)),
            None => Err(CheckpointError::Refused(format!("{module}.{name}"))),
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
        Object::Callable(Callable::Harmless) | Object::Opaque => Ok(Object::Opaque),
        _ => Err(damaged()),
    }
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

/// `(storage, offset, size, stride, …)`
fn rebuild_tensor(arguments: &[Object]) -> Reading<Object> {
    let [Object::Persistent(storage), Object::Int(offset), shape, stride, ..] = arguments else {
        return Err(damaged());
    };
    let numbers = |object: &Object| match object {
        Object::Tuple(items) => items
            .iter()
            .map(|item| match item {
                Object::Int(value) => usize::try_from(*value).map_err(|_| damaged()),
                _ => Err(damaged()),
            })
            .collect::<Reading<Vec<_>>>(),
        _ => Err(damaged()),
    };
    let (shape, stride) = (numbers(shape)?, numbers(stride)?);
    let offset = usize::try_from(*offset).map_err(|_| damaged())?;
    if shape.len() != stride.len() || shape.len() > 8 {
        return Err(damaged());
    }
    Ok(Object::Tensor(Rc::new(View { storage: Rc::clone(storage), offset, shape, stride })))
}

#[cfg(test)]
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
    fn plain_values() {
        let (value, used) =
            read(b"\x80\x02}q\x00(X\x01\x00\x00\x00aK\x07X\x01\x00\x00\x00b\x8a\x01\xffu.rest").unwrap();
        assert_eq!(used, 25);
        let Object::Dict(dict) = value else { panic!("a dict") };
        assert!(matches!(dict.borrow()[0].1, Object::Int(7)));
        assert!(matches!(dict.borrow()[1].1, Object::Int(-1)));
    }
}
