//! Any bytes as a pickle: an error or a value that can be walked, in bounded memory and time.

#![no_main]

use assay_pickle::Value;
use libfuzzer_sys::fuzz_target;

fn walk(value: Value<'_, '_>, depth: usize) -> usize {
    if depth > 3 {
        return 1;
    }
    let below = |children: &mut dyn Iterator<Item = Value<'_, '_>>| -> usize {
        children.take(50).map(|child| walk(child, depth + 1)).sum()
    };
    let items = value.items().map_or(0, |mut items| below(&mut items));
    let entries = value.entries().map_or(0, |entries| below(&mut entries.map(|(_, value)| value)));
    let array = value.array().map_or(0, |array| array.data.len() + array.shape.len());
    items + entries + array + usize::from(value.int().is_some()) + value.text().map_or(0, str::len)
}

fuzz_target!(|bytes: &[u8]| {
    if let Ok(pickle) = assay_pickle::read(bytes) {
        assert!(pickle.length <= bytes.len());
        std::hint::black_box(walk(pickle.root(), 0) + pickle.views().count());
    }
});
