//! What other libraries leave in a pickle: stepped over, named where it stands, and never in the way of what is read.

#![allow(missing_docs, clippy::unwrap_used)]

use assay_pickle::{Value, read};

fn global(name: &str) -> Vec<u8> {
    let (module, name) = name.rsplit_once('.').unwrap();
    format!("c{module}\n{name}\n").into_bytes()
}

fn tuple(items: &[Vec<u8>]) -> Vec<u8> {
    [&b"("[..], &items.concat(), b"t"].concat()
}

fn call(name: &str, arguments: &[Vec<u8>]) -> Vec<u8> {
    [global(name), tuple(arguments), b"R".to_vec()].concat()
}

fn text(text: &str) -> Vec<u8> {
    [&[b'X'][..], &(text.len() as u32).to_le_bytes(), text.as_bytes()].concat()
}

fn storage(kind: &str) -> Vec<u8> {
    [tuple(&[text("storage"), global(kind), text("0"), text("cpu"), b"K\x02".to_vec()]), b"Q".to_vec()].concat()
}

/// Storage, offset, shape, stride, gradients, hooks.
fn view(kind: &str) -> Vec<Vec<u8>> {
    let one = || tuple(&[b"K\x01".to_vec()]);
    vec![storage(kind), b"K\x00".to_vec(), tuple(&[b"K\x02".to_vec()]), one(), b"\x89".to_vec(), b"}".to_vec()]
}

fn typed(kind: &str) -> Vec<u8> {
    call("torch._utils._rebuild_tensor_v3", &[view("torch.storage.UntypedStorage"), vec![global(kind)]].concat())
}

fn as_class(class: &str) -> Vec<u8> {
    let rebuild = global("torch._utils._rebuild_tensor_v2");
    call(
        "torch._tensor._rebuild_from_type_v2",
        &[rebuild, global(class), tuple(&view("torch.FloatStorage")), b"}".to_vec()],
    )
}

/// What a value is, in a word.
fn said(value: Value<'_, '_>) -> String {
    match (value.foreign(), value.tensor()) {
        (Some(name), _) => name.to_owned(),
        (_, Some(view)) => format!("tensor {}", view.elements),
        _ if value.entries().is_some() => "dict".to_owned(),
        _ => "nothing".to_owned(),
    }
}

#[test]
fn what_is_not_on_the_list_is_named_where_it_stands() {
    let none = || b"N".to_vec();
    let v2 = |kind: &str| call("torch._utils._rebuild_tensor_v2", &view(kind));
    let made = || call("a.b.C", &[none()]);
    for (program, expected) in [
        // Classes, functions and their objects, however they are made.
        (global("pytorch_lightning.callbacks.ModelCheckpoint"), "pytorch_lightning.callbacks.ModelCheckpoint"),
        (call("collections.Counter", &[b"}".to_vec()]), "collections.Counter"),
        (b"\x8c\x01m\x8c\x01C\x93)\x81}b".to_vec(), "m.C"),
        (b"\x8c\x01m\x8c\x01C\x93)}\x92".to_vec(), "m.C"),
        (b"(K\x01im\nC\n".to_vec(), "m.C"),
        (b"(cm\nC\nK\x01o".to_vec(), "m.C"),
        (b"\x82\x07".to_vec(), "an extension of copyreg"),
        // A function that another made, and what is put into an object.
        ([made(), tuple(&[none()]), b"R".to_vec()].concat(), "a.b.C"),
        ([call("collections.deque", &[]), b"(K\x01K\x02e".to_vec()].concat(), "collections.deque"),
        ([made(), b"(K\x01K\x02u".to_vec()].concat(), "a.b.C"),
        ([made(), b"K\x01K\x02s".to_vec()].concat(), "a.b.C"),
        // Known functions with arguments of others.
        (call("numpy.dtype", &[global("ml_dtypes.bfloat16")]), "ml_dtypes.bfloat16"),
        (call("torch._utils._rebuild_parameter", &[made(), b"\x88".to_vec(), none()]), "a.b.C"),
        (call("collections.OrderedDict", &[made()]), "dict"),
        // Tensors that are not numbers of a kind that is read.
        (v2("torch.FloatStorage"), "tensor f32"),
        (v2("torch.ComplexFloatStorage"), "complex numbers"),
        (v2("torch.QInt8Storage"), "quantised numbers"),
        (v2("torch.ZStorage"), "torch.ZStorage"),
        (typed("torch.float32"), "tensor f32"),
        (typed("torch.float8_e4m3fn"), "torch.float8_e4m3fn"),
        (as_class("torch.nn.parameter.Parameter"), "tensor f32"),
        (as_class("torchao.dtypes.AffineQuantizedTensor"), "torchao.dtypes.AffineQuantizedTensor"),
        (call("torch._utils._rebuild_qtensor", &view("torch.QInt8Storage")), "torch._utils._rebuild_qtensor"),
        (call("torch._utils._rebuild_parameter_with_state", &[v2("torch.FloatStorage"), none()]), "tensor f32"),
        // Negated when it is read.
        (
            call(
                "torch._utils._rebuild_tensor_v2",
                &[view("torch.FloatStorage"), vec![b"}X\x03\x00\x00\x00neg\x88s".to_vec()]].concat(),
            ),
            "a tensor",
        ),
        // A tensor that was pickled without torch.save.
        (
            call(
                "torch._utils._rebuild_tensor_v2",
                &[vec![call("torch.storage._load_from_bytes", &[text("…")])], view("torch.FloatStorage")[1..].to_vec()]
                    .concat(),
            ),
            "torch.storage._load_from_bytes",
        ),
    ] {
        let bytes = [&b"}(X\x01\x00\x00\x00a"[..], &program, &text("b"), b"K\x07u."].concat();
        let pickle = read(&bytes).unwrap_or_else(|e| panic!("{expected}: {e}"));
        assert_eq!(said(pickle.root().entry("a").unwrap()), expected);
        assert_eq!(pickle.root().entry("b").unwrap().int(), Some(7), "{expected}");
        // As a key, it is passed over.
        let key = [b"}(".to_vec(), program, text("b"), text("c"), b"K\x07u.".to_vec()].concat();
        assert_eq!(read(&key).unwrap().root().entry("c").unwrap().int(), Some(7), "{expected}");
    }
}

#[test]
fn storages_are_known_by_the_bytes_of_their_elements() {
    let bytes = [call("torch._utils._rebuild_qtensor", &view("torch.QInt32Storage")), b".".to_vec()].concat();
    assert_eq!(read(&bytes).unwrap().storages().collect::<Vec<_>>(), [("0", 4)]);
}

#[test]
fn names_that_repeat_cost_memory_once() {
    // One long name, remembered and named over and over.
    let mut bytes = [text(&"m".repeat(1000)), b"q\x00".to_vec(), text("C"), b"q\x01".to_vec()].concat();
    bytes.extend(b"h\x00h\x01\x93".repeat(1000));
    bytes.push(b'.');
    assert!(read(&bytes).unwrap_err().to_string().contains("too large"));
}

/// Walks a value as its readers do.
fn walk(value: Value<'_, '_>, depth: usize) -> usize {
    let here = value.foreign().map_or(0, str::len) + value.text().map_or(0, str::len) + value.int().map_or(0, |_| 1);
    let array = value.array().map_or(0, |array| array.data.len() + array.shape.len());
    let below = |child| if depth < 3 { walk(child, depth + 1) } else { 1 };
    let items = value.items().map_or(0, |items| items.take(50).map(below).sum::<usize>());
    let entries = value.entries().map_or(0, |entries| entries.take(50).map(|(_, value)| below(value)).sum::<usize>());
    here + array + items + entries
}

#[test]
fn whatever_is_damaged_is_an_error_or_a_value() {
    let programs = [
        call("torch._utils._rebuild_tensor_v2", &view("torch.FloatStorage")),
        typed("torch.float8_e4m3fn"),
        as_class("torch.nn.parameter.Parameter"),
        [call("collections.deque", &[]), b"(K\x01K\x02e".to_vec()].concat(),
        b"(K\x01im\nC\n(cm\nC\nK\x01o\x86q\x00".to_vec(),
        b"\x8c\x01m\x8c\x01C\x93)}\x92}b".to_vec(),
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR(K\x01K\x01K\x02\x86cnumpy\ndtype\n(U\x02u1K\x00K\x01tR\x89U\x02\x01\xc8tb".to_vec(),
    ];
    let whole = [&b"}("[..], &programs.map(|p| [text("k"), p].concat()).concat(), b"u."].concat();
    assert!(read(&whole).is_ok());
    // Numbers of a linear congruential generator (Knuth's MMIX).
    let mut state = 1u64;
    let mut next = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let mut values = 0;
    for _ in 0..10_000 {
        let mut bytes = whole.clone();
        for _ in 0..=next(4) {
            let (from, to) = (next(bytes.len()), next(bytes.len()));
            match next(4) {
                0 => bytes[from] = next(256) as u8,
                1 => bytes.insert(from, whole[to % whole.len()]),
                2 => drop(bytes.drain(from.min(to)..(from.min(to) + next(8)).min(bytes.len()))),
                _ => {
                    let part = bytes[from.min(to)..from.max(to)].to_vec();
                    bytes.splice(to..to, part);
                }
            }
            bytes.push(b'.');
        }
        if let Ok(pickle) = read(&bytes) {
            assert!(pickle.length <= bytes.len());
            values += usize::from(walk(pickle.root(), 0) > 0);
            let _ = pickle.storages().count() + pickle.views().count();
        }
    }
    assert!(values > 100, "most of the rest were errors: {values}");
}
