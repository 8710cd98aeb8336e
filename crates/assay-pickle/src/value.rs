//! Values that a pickle holds.

use std::borrow::Cow;

use crate::constructors::Callable;

/// Index of an object in the table of its pickle.
pub(crate) type Id = u32;

/// An object of a pickle; those that hold others name them by index.
#[derive(Clone, Debug)]
pub(crate) enum Object<'b> {
    /// `None`
    None,
    /// `True`, `False`
    Bool(bool),
    /// An integer of 64 bits.
    Int(i64),
    /// A string or bytes.
    Bytes(Cow<'b, [u8]>),
    Tuple(Box<[Id]>),
    List(Vec<Id>),
    /// Ordered.
    Dict(Vec<(Id, Id)>),
    /// One of the functions that may be called.
    Callable(Callable),
    /// Any other function or class, by its name.
    Global(Box<str>),
    /// What a function or class that is not called would have made: its index.
    Foreign(Id),
    /// A type of named tuples, by the names of its fields; its values become dicts.
    Fields(Box<[Id]>),
    /// Something outside the pickle, by its id.
    Persistent(Id),
    Tensor(Box<View>),
    /// A numpy array; absent until its state has been read.
    Array(Option<Box<ArrayState>>),
    /// A numpy type of elements, such as `<f4`.
    Dtype(String),
    /// Something harmless that is of no use here: floats, dates, paths, optimizer states.
    Opaque,
}

/// A tensor as a view into a storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// Key of the storage.
    pub storage: String,
    /// Type of its elements, such as `f32`, `bf16` or `bool`.
    pub elements: &'static str,
    /// First element.
    pub offset: usize,
    /// Shape.
    pub shape: Vec<usize>,
    /// Elements from one index to the next, for each axis.
    pub stride: Vec<usize>,
}

#[derive(Clone, Debug)]
pub(crate) struct ArrayState {
    pub shape: Vec<usize>,
    pub dtype: String,
    pub is_fortran: bool,
    pub data: Id,
}

/// A numpy array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Array<'a> {
    /// Shape.
    pub shape: &'a [usize],
    /// Type of its elements with their byte order, such as `|u1` or `<f4`.
    pub dtype: &'a str,
    /// True if the first axis is the fastest.
    pub is_fortran: bool,
    /// Bytes of the array.
    pub data: &'a [u8],
}

/// A pickle that has been read.
#[derive(Clone, Debug)]
pub struct Pickle<'b> {
    pub(crate) objects: Vec<Object<'b>>,
    pub(crate) root: Id,
    /// Bytes that it took.
    pub length: usize,
}

impl<'b> Pickle<'b> {
    /// The value that the whole pickle is.
    pub fn root(&self) -> Value<'_, 'b> {
        Value { pickle: self, id: self.root }
    }

    /// All tensors in it, wherever they are.
    pub fn views(&self) -> impl Iterator<Item = &View> {
        self.objects.iter().filter_map(|object| if let Object::Tensor(view) = object { Some(&**view) } else { None })
    }

    /// The storages that it names, with the bytes of an element of each, whether a tensor views them or not.
    pub fn storages(&self) -> impl Iterator<Item = (&str, usize)> {
        let storage = |object: &Object<'b>| {
            let Object::Persistent(id) = object else { return None };
            let Object::Tuple(parts) = &self.objects[*id as usize] else { return None };
            let (kind, key) = (*parts.get(1)?, *parts.get(2)?);
            let size = match &self.objects[kind as usize] {
                Object::Callable(Callable::Storage(elements)) => match *elements {
                    "f64" | "i64" => 8,
                    "f32" | "i32" => 4,
                    "f16" | "bf16" | "i16" => 2,
                    _ => 1,
                },
                Object::Callable(Callable::OtherStorage(_, size)) => usize::from(*size),
                _ => return None,
            };
            Some((Value { pickle: self, id: key }.text()?, size))
        };
        self.objects.iter().filter_map(storage)
    }

    /// Names that lead from what was made to who made it.
    fn maker(&self, mut id: Id) -> Option<&str> {
        /// Objects that make each other; no honest pickle has more than a few.
        const MAX_LINKS: usize = 16;
        for _ in 0..MAX_LINKS {
            match &self.objects[id as usize] {
                Object::Global(name) => return Some(name),
                Object::Callable(Callable::OtherStorage(what, _)) => return Some(what),
                Object::Callable(Callable::Storage(_) | Callable::RebuildTensor) => return Some("a tensor"),
                Object::Foreign(maker) | Object::Persistent(maker) => id = *maker,
                // ('module', class, …), as torch wrote whole modules of old.
                Object::Tuple(parts) => id = *parts.get(1)?,
                _ => return None,
            }
        }
        None
    }
}

/// A value of a pickle.
#[derive(Clone, Copy, Debug)]
pub struct Value<'p, 'b> {
    pickle: &'p Pickle<'b>,
    id: Id,
}

impl<'p, 'b> Value<'p, 'b> {
    fn object(self) -> &'p Object<'b> {
        &self.pickle.objects[self.id as usize]
    }

    fn of(self, id: Id) -> Self {
        Self { pickle: self.pickle, id }
    }

    /// Name of the function or class of another library that made this, or that this is; where nobody knows, a word for it. Absent
    /// where it is a value that is read.
    pub fn foreign(self) -> Option<&'p str> {
        match self.object() {
            Object::Global(name) => Some(name),
            Object::Foreign(maker) => Some(self.pickle.maker(*maker).unwrap_or("an object")),
            _ => None,
        }
    }

    /// The integer, where it is one.
    pub fn int(self) -> Option<i64> {
        if let Object::Int(value) = self.object() { Some(*value) } else { None }
    }

    /// The string, where it is one (or bytes that could be one).
    pub fn text(self) -> Option<&'p str> {
        if let Object::Bytes(bytes) = self.object() { std::str::from_utf8(bytes).ok() } else { None }
    }

    /// The items, where it is a list or a tuple.
    pub fn items(self) -> Option<impl ExactSizeIterator<Item = Self>> {
        let ids: &'p [Id] = match self.object() {
            Object::List(items) => items,
            Object::Tuple(items) => items,
            _ => return None,
        };
        Some(ids.iter().map(move |id| self.of(*id)))
    }

    /// Keys that are strings, with their values in order, where it is a dict.
    pub fn entries(self) -> Option<impl Iterator<Item = (&'p str, Self)>> {
        let Object::Dict(pairs) = self.object() else { return None };
        Some(pairs.iter().filter_map(move |(key, value)| Some((self.of(*key).text()?, self.of(*value)))))
    }

    /// The value of a key, where this is a dict that has it.
    pub fn entry(self, key: &str) -> Option<Self> {
        // The last one counts, as in Python.
        self.entries()?.filter(|(known, _)| *known == key).last().map(|(_, value)| value)
    }

    /// The tensor, where it is one.
    pub fn tensor(self) -> Option<&'p View> {
        if let Object::Tensor(view) = self.object() { Some(view) } else { None }
    }

    /// The array, where it is one that holds numbers.
    pub fn array(self) -> Option<Array<'p>> {
        let Object::Array(Some(state)) = self.object() else { return None };
        let Object::Bytes(data) = self.of(state.data).object() else { return None };
        let ArrayState { shape, dtype, is_fortran, .. } = &**state;
        Some(Array { shape, dtype, is_fortran: *is_fortran, data })
    }
}
