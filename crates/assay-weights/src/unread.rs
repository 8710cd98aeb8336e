//! Tensors that are in a file and are not read, and why: what they are instead of numbers.

/// Something in the place of a tensor that is not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    /// What it is, such as `an 8-bit float (F8_E4M3)`.
    pub what: String,
    /// What to do about it.
    pub advice: &'static str,
    /// Whether it is a tensor, rather than some object that may have nothing to do with the network.
    pub is_tensor: bool,
}

const ROUNDED: &str = "give the weights that it was rounded from; or load it in its own library, turn the weights back into \
                       floats, and save that `state_dict()`: the features are then those of the rounded network";
const FLOATS: &str = "load it in its own library and save the tensors as 32-bit floats";
const PIECES: &str = "join the pieces in the library that wrote them (`torch.distributed.checkpoint.format_utils`, \
                      `zero_to_fp32.py`), and give the whole `state_dict()`";
const DENSE: &str = "make it dense (`to_dense()`) and save the `state_dict()`";
const SAVE: &str = "load it in Python and save `{name: tensor}` by `torch.save` or as safetensors";
const WHOLE: &str = "load it in Python with its own code, and save its `state_dict()` by `torch.save`";

/// Words that the names of functions and classes have, what these make, and what to do about it; the first that fits counts.
const MAKERS: [(&str, &str, &str); 22] = [
    ("torch.float8", "8-bit floats", ROUNDED),
    ("torch.float4", "4-bit floats", ROUNDED),
    ("torch.uint", "unsigned integers", FLOATS),
    ("torch.int", "integers", FLOATS),
    ("torch.bits", "bits", ROUNDED),
    ("torch.complex", "complex numbers", FLOATS),
    ("complex numbers", "complex numbers", FLOATS),
    ("quantised numbers", "quantised numbers", ROUNDED),
    ("_rebuild_qtensor", "quantised numbers", ROUNDED),
    ("ml_dtypes", "numbers of a type that numpy does not have itself", FLOATS),
    ("bitsandbytes", "quantised numbers", ROUNDED),
    ("torchao", "quantised numbers", ROUNDED),
    ("quanto", "quantised numbers", ROUNDED),
    ("hqq", "quantised numbers", ROUNDED),
    ("_rebuild_sparse", "a sparse tensor", DENSE),
    ("_rebuild_nested", "a nested tensor", FLOATS),
    ("_rebuild_meta", "a meta tensor, which has a shape and no numbers", "give the file that has the numbers"),
    ("DTensor", "a piece of a distributed tensor", PIECES),
    ("ShardedTensor", "a piece of a distributed tensor", PIECES),
    ("_load_from_bytes", "a tensor that was pickled without torch.save", SAVE),
    ("torch._utils._rebuild", "a tensor of another kind", SAVE),
    ("a tensor", "a tensor that is conjugated or negated when it is read", FLOATS),
];

impl Unread {
    /// What the function or class of this name has made in a pickle.
    pub fn made_by(name: &str) -> Self {
        let known = MAKERS.iter().find(|(word, ..)| name.contains(word));
        match known {
            Some((_, what, advice)) => Self { what: named(what, name), advice, is_tensor: true },
            None if name == "bytes" => Self { what: "bytes without a type".to_owned(), advice: SAVE, is_tensor: true },
            None => Self { what: format!("an object of Python code, {name}"), advice: WHOLE, is_tensor: false },
        }
    }

    /// A tensor whose numbers are of a type that is not read.
    pub fn of_type(dtype: &str) -> Self {
        let word = dtype.to_ascii_lowercase();
        let starts = |with: &[&str]| with.iter().any(|start| word.starts_with(start));
        let (what, advice) = if starts(&["f8", "f6", "f4", "float8", "float4"]) {
            ("floats of 8 bits or fewer", ROUNDED)
        } else if starts(&["q", "int4", "uint4"]) {
            ("quantised numbers", ROUNDED)
        } else if starts(&["c", "<c", "|c", "complex"]) {
            ("complex numbers", FLOATS)
        } else {
            ("numbers of a type that is not read", FLOATS)
        };
        Self { what: format!("{what} ({dtype})"), advice, is_tensor: true }
    }
}

/// What something is, with the name that a program has for it.
fn named(what: &str, name: &str) -> String {
    if name == what || name.starts_with("a ") { what.to_owned() } else { format!("{what} ({name})") }
}
