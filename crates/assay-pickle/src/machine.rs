//! The stack machine of pickles, protocols 0 to 5.

use std::borrow::Cow;

use crate::constructors::{Callable, callable, is_attack};
use crate::value::{Id, Object, Pickle};
use crate::{PickleError, Reading, damaged};

/// Most objects that a pickle may make; the largest published checkpoints make some hundred thousand.
const MAX_OBJECTS: usize = 8 << 20;
/// Number of entries that the memo may be written ahead of those that it holds; Python counts up.
const MEMO_GAP: usize = 1 << 16;
/// Characters that are kept of a name.
const MAX_SHOWN: usize = 200;

/// Reads one pickle from the front of `bytes`.
///
/// # Errors
/// When it is damaged, names what is not on the list, or makes too many objects.
pub fn read(bytes: &[u8]) -> Result<Pickle<'_>, PickleError> {
    let mut machine = Machine {
        bytes,
        at: 0,
        objects: Vec::new(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: Vec::new(),
        allowance: 2 * bytes.len() + 1024,
    };
    let root = machine.run()?;
    Ok(Pickle { objects: machine.objects, root, length: machine.at })
}

pub(crate) struct Machine<'b> {
    bytes: &'b [u8],
    at: usize,
    pub(crate) objects: Vec<Object<'b>>,
    stack: Vec<Id>,
    marks: Vec<usize>,
    memo: Vec<Option<Id>>,
    /// Amount that may still be copied out of objects; no honest pickle copies anything twice.
    allowance: usize,
}

impl<'b> Machine<'b> {
    pub(crate) fn object(&self, id: Id) -> &Object<'b> {
        &self.objects[id as usize]
    }

    pub(crate) fn add(&mut self, object: Object<'b>) -> Reading<Id> {
        if self.objects.len() >= MAX_OBJECTS {
            return Err(PickleError::TooLarge(format!("its pickle makes more than {MAX_OBJECTS} objects")));
        }
        self.objects.push(object);
        Ok((self.objects.len() - 1) as Id)
    }

    /// Pays for copying `n` bytes or items.
    pub(crate) fn charge(&mut self, n: usize) -> Reading<()> {
        let left = self.allowance.checked_sub(n);
        self.allowance = left.ok_or_else(|| PickleError::TooLarge("its pickle copies things many times".to_owned()))?;
        Ok(())
    }

    fn take(&mut self, n: usize) -> Reading<&'b [u8]> {
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

    fn line(&mut self) -> Reading<&'b str> {
        let rest = &self.bytes[self.at..];
        let end = rest.iter().position(|b| *b == b'\n').ok_or_else(damaged)?;
        self.at += end + 1;
        std::str::from_utf8(&rest[..end]).map_err(|_| damaged())
    }

    fn push(&mut self, object: Object<'b>) -> Reading<()> {
        let id = self.add(object)?;
        self.stack.push(id);
        Ok(())
    }

    fn pop(&mut self) -> Reading<Id> {
        if self.marks.last().is_some_and(|mark| self.stack.len() <= *mark) {
            return Err(damaged());
        }
        self.stack.pop().ok_or_else(damaged)
    }

    fn top(&self) -> Reading<Id> {
        self.stack.last().copied().ok_or_else(damaged)
    }

    fn pop_mark(&mut self) -> Reading<Vec<Id>> {
        let mark = self.marks.pop().ok_or_else(damaged)?;
        if mark > self.stack.len() {
            return Err(damaged());
        }
        Ok(self.stack.split_off(mark))
    }

    fn run(&mut self) -> Reading<Id> {
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
                Ok(())
            }
            b'0' => self.pop().map(|_| ()),
            b'1' => self.pop_mark().map(|_| ()),
            b'2' => {
                let top = self.top()?;
                self.stack.push(top);
                Ok(())
            }
            b'N' | 0x88 | 0x89 | b'I' | b'J' | b'K' | b'M' | b'L' | 0x8a | 0x8b | b'F' | b'G' => self.scalar(code),
            b'S' | b'T' | b'U' | b'V' | b'X' | 0x8c | 0x8d | b'B' | b'C' | 0x8e | 0x96 => self.string(code),
            b'q' | b'r' | b'p' | 0x94 | b'h' | b'j' | b'g' => self.memory(code),
            b'c' | 0x93 | 0x82..=0x84 => self.name(code),
            b'R' | 0x81 | 0x92 | b'b' | b'Q' | b'P' | b'i' | b'o' => self.call_or_build(code),
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
            b'F' => self.line().map(|_| Object::Opaque)?,
            _ => self.take(8).map(|_| Object::Opaque)?,
        };
        self.push(value)
    }

    /// An integer of any length; those beyond 64 bits are kept as opaque.
    fn long(&mut self, n: usize) -> Reading<Object<'b>> {
        let bytes = self.take(n)?;
        if n > 8 {
            return Ok(Object::Opaque);
        }
        let mut word = [if bytes.last().is_some_and(|b| *b >= 0x80) { 0xff } else { 0 }; 8];
        word[..n].copy_from_slice(bytes);
        Ok(Object::Int(i64::from_le_bytes(word)))
    }

    fn string(&mut self, code: u8) -> Reading<()> {
        let bytes = match code {
            b'S' | b'V' => {
                let line = self.line()?;
                if line.contains('\\') {
                    return Err(PickleError::Refused("a string with escapes".to_owned()));
                }
                line.trim_matches(['\'', '"']).as_bytes()
            }
            _ => {
                let n = match code {
                    b'U' | 0x8c | b'C' => self.length::<1>()?,
                    b'T' | b'X' | b'B' => self.length::<4>()?,
                    _ => self.length::<8>()?,
                };
                self.take(n)?
            }
        };
        self.push(Object::Bytes(Cow::Borrowed(bytes)))
    }

    fn memory(&mut self, code: u8) -> Reading<()> {
        let index = match code {
            0x94 => self.memo.len(),
            b'q' | b'h' => self.length::<1>()?,
            b'r' | b'j' => self.length::<4>()?,
            _ => self.line()?.parse().map_err(|_| damaged())?,
        };
        if matches!(code, b'h' | b'j' | b'g') {
            let id = self.memo.get(index).copied().flatten().ok_or_else(damaged)?;
            self.stack.push(id);
            return Ok(());
        }
        if index > self.memo.len() + MEMO_GAP {
            return Err(PickleError::TooLarge("its pickle remembers too much".to_owned()));
        }
        let top = self.top()?;
        if self.memo.len() <= index {
            self.memo.resize(index + 1, None);
        }
        self.memo[index] = Some(top);
        Ok(())
    }

    fn collection(&mut self, code: u8) -> Reading<()> {
        match code {
            b'}' => self.push(Object::Dict(Vec::new())),
            b']' => self.push(Object::List(Vec::new())),
            b')' => self.push(Object::Tuple(Box::new([]))),
            0x8f => self.push(Object::Opaque),
            b't' | b'l' | b'd' => {
                let items = self.pop_mark()?;
                self.push(match code {
                    b't' => Object::Tuple(items.into()),
                    b'l' => Object::List(items),
                    _ => Object::Dict(pairs(&items)?),
                })
            }
            0x85..=0x87 => {
                let n = usize::from(code - 0x84);
                let from = self.stack.len().checked_sub(n).ok_or_else(damaged)?;
                let items = self.stack.split_off(from);
                self.push(Object::Tuple(items.into()))
            }
            b'a' => {
                let value = self.pop()?;
                self.append(&[value])
            }
            b'e' | 0x90 => {
                let items = self.pop_mark()?;
                self.append(&items)
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.insert(&[key, value])
            }
            b'u' => {
                let items = self.pop_mark()?;
                self.insert(&items)
            }
            0x91 => {
                self.pop_mark()?;
                self.push(Object::Opaque)
            }
            other => Err(PickleError::Refused(format!("pickle opcode 0x{other:02x}"))),
        }
    }

    fn append(&mut self, items: &[Id]) -> Reading<()> {
        let list = self.top()?;
        match &mut self.objects[list as usize] {
            Object::List(list) => list.extend(items),
            Object::Opaque | Object::Foreign(_) => {}
            _ => return Err(damaged()),
        }
        Ok(())
    }

    fn insert(&mut self, items: &[Id]) -> Reading<()> {
        let dict = self.top()?;
        match &mut self.objects[dict as usize] {
            Object::Dict(dict) => dict.extend(pairs(items)?),
            Object::Opaque | Object::Foreign(_) => {}
            _ => return Err(damaged()),
        }
        Ok(())
    }

    /// The name of a function or a class.
    fn name(&mut self, code: u8) -> Reading<()> {
        match code {
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.global(module, name)
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let part = |id: Id| match self.bytes_of(Some(&id)).map(std::str::from_utf8) {
                    Some(Ok(text)) => Ok(text.to_owned()),
                    _ => Err(damaged()),
                };
                let (module, name) = (part(module)?, part(name)?);
                self.charge(module.len() + name.len())?;
                self.global(&module, &name)
            }
            // A number that a program has agreed upon with itself.
            _ => {
                self.take(1 << (code - 0x82))?;
                self.push(Object::Global("an extension of copyreg".into()))
            }
        }
    }

    fn call_or_build(&mut self, code: u8) -> Reading<()> {
        match code {
            // Objects of Python 2: a name and arguments, or a class and arguments, after a mark.
            b'i' | b'o' => {
                let named = if code == b'i' {
                    self.name(b'c')?;
                    Some(self.pop()?)
                } else {
                    None
                };
                let arguments = self.pop_mark()?;
                let class = named.or(arguments.first().copied()).ok_or_else(damaged)?;
                let made = match self.object(class) {
                    Object::Callable(Callable::Harmless) | Object::Opaque => Object::Opaque,
                    _ => Object::Foreign(class),
                };
                self.push(made)
            }
            b'R' | 0x81 | 0x92 => {
                // Arguments by name.
                let named = if code == 0x92 { Some(self.pop()?) } else { None };
                let (arguments, function) = (self.pop()?, self.pop()?);
                let is_plain =
                    named.is_none_or(|id| matches!(self.object(id), Object::Dict(pairs) if pairs.is_empty()));
                let is_known =
                    matches!(self.object(function), Object::Callable(called) if *called != Callable::Harmless);
                let made =
                    if is_known && !is_plain { Object::Foreign(function) } else { self.call(function, arguments)? };
                self.push(made)
            }
            b'b' => {
                let state = self.pop()?;
                let object = self.top()?;
                self.build(object, state)
            }
            b'Q' => {
                let id = self.pop()?;
                self.push(Object::Persistent(id))
            }
            _ => Err(PickleError::Refused("a persistent id in text form".to_owned())),
        }
    }

    fn global(&mut self, module: &str, name: &str) -> Reading<()> {
        if let Some(function) = callable(module, name) {
            return self.push(Object::Callable(function));
        }
        let shown: Box<str> = format!("{module}.{name}").chars().take(MAX_SHOWN).collect();
        if is_attack(module, name) {
            return Err(PickleError::Attack(shown.into()));
        }
        self.push(Object::Global(shown))
    }
}

fn pairs(items: &[Id]) -> Reading<Vec<(Id, Id)>> {
    let pairs = items.chunks_exact(2);
    if pairs.remainder().is_empty() { Ok(pairs.map(|pair| (pair[0], pair[1])).collect()) } else { Err(damaged()) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::Array;

    #[test]
    fn a_function_that_runs_commands_is_refused_by_name() {
        let refused = |bytes: &[u8]| read(bytes).unwrap_err().to_string();
        assert!(refused(b"cos\nsystem\n(S'echo hi'\ntR.").contains("`os.system`"));
        assert!(refused(b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93.").contains("`builtins.eval`"));
        assert!(refused(b"(S'echo hi'\nios\nsystem\n.").contains("`os.system`"));
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
            b"r\xff\xff\xff\xff.",
            b"Nr\xff\xff\xff\x7f.",
        ] {
            assert!(read(bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn depth_and_cycles_cost_nothing() {
        // A million lists, each in the one before it; dropping it must not recurse either.
        let deep = [vec![b']'; 1 << 20], vec![b'a'; (1 << 20) - 1], vec![b'.']].concat();
        assert_eq!(read(&deep).unwrap().length, deep.len());
        let cycle = read(b"]q\x00h\x00a.").unwrap();
        let inner = cycle.root().items().unwrap().next().unwrap();
        assert_eq!(inner.items().unwrap().len(), 1);
    }

    #[test]
    fn a_string_is_not_copied_over_and_over() {
        // One string of 1,000 bytes, made into bytes 100 times.
        let mut bytes = b"c_codecs\nencode\nq\x00X\xe8\x03\x00\x00".to_vec();
        bytes.extend([b'a'; 1000]);
        bytes.extend(b"q\x01X\x06\x00\x00\x00latin1q\x02");
        for _ in 0..100 {
            bytes.extend(b"h\x00h\x01h\x02\x86R");
        }
        bytes.push(b'.');
        assert!(matches!(read(&bytes), Err(PickleError::TooLarge(_))));
    }

    #[test]
    fn a_shape_is_not_copied_over_and_over() {
        // One tensor with 60 axes, made anew 1,000 times from remembered arguments.
        let axes = [&b"("[..], &b"K\x01".repeat(60), b"t"].concat();
        let mut bytes = b"ctorch._utils\n_rebuild_tensor_v2\nq\x00(".to_vec();
        bytes.extend(b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000tQK\x00");
        bytes.extend(axes.repeat(2));
        bytes.extend(b"tq\x01");
        let once = [&bytes[..], b"h\x00h\x01R."].concat();
        assert_eq!(read(&once).unwrap().root().tensor().unwrap().shape.len(), 60);
        bytes.extend(b"h\x00h\x01R".repeat(1000));
        bytes.push(b'.');
        assert!(matches!(read(&bytes), Err(PickleError::TooLarge(_))));
    }

    #[test]
    fn arrays_of_numpy() {
        // What Python 2 writes for `numpy.array([[1, 200]], dtype="u1")`.
        let mut bytes =
            b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR(K\x01K\x01K\x02\x86"
                .to_vec();
        bytes.extend(b"cnumpy\ndtype\n(U\x02u1K\x00K\x01tR(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x02\x01\xc8tb.");
        let pickle = read(&bytes).unwrap();
        let expected = Array { shape: &[1, 2], dtype: "|u1", is_fortran: false, data: &[1, 200] };
        assert_eq!(pickle.root().array(), Some(expected));
    }

    #[test]
    fn plain_values() {
        let pickle = read(b"\x80\x02}q\x00(X\x01\x00\x00\x00aK\x07X\x01\x00\x00\x00b\x8a\x01\xffu.rest").unwrap();
        assert_eq!(pickle.length, 25);
        assert_eq!(pickle.root().entry("a").unwrap().int(), Some(7));
        assert_eq!(pickle.root().entry("b").unwrap().int(), Some(-1));
        assert!(pickle.root().entry("c").is_none());
    }
}
