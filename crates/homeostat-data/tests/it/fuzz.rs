//! The fuzz targets on their corpus and on keyed mutations of it, so that they run where no fuzzer does.

use homeostat_data::{Rng, stream};

#[path = "../../fuzz/src/lib.rs"]
#[allow(unreachable_pub, reason = "public to the targets of the fuzzer")]
mod targets;

type Target = fn(&[u8]);

/// Mutations of each file of the corpus.
const MUTATIONS: u64 = 40;

#[test]
fn no_parser_panics_or_hangs_on_damaged_bytes() {
    let targets: [(&str, Target); 12] = [
        ("archive", targets::archive),
        ("cifar", targets::cifar),
        ("idx", targets::idx),
        ("image", targets::image),
        ("npy", targets::npy),
        ("npz", targets::npz),
        ("packed", targets::packed),
        ("parquet", targets::parquet),
        ("table", targets::table),
        ("tokenizer", targets::tokenizer),
        ("web_dataset", targets::web_dataset),
        ("word", targets::word),
    ];
    for (name, target) in targets {
        let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
        let mut files: Vec<_> = std::fs::read_dir(&corpus).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        assert!(!files.is_empty(), "{name} has no corpus");
        for (number, file) in (0..).zip(files) {
            let seed = std::fs::read(file).unwrap();
            target(&seed);
            for mutation in 0..MUTATIONS {
                let mut rng = Rng::keyed(number, [mutation, 0, stream(name, 0)]);
                target(&mutated(seed.clone(), &mut rng));
            }
        }
    }
}

/// A few bytes changed, moved, or cut off.
fn mutated(mut bytes: Vec<u8>, rng: &mut Rng) -> Vec<u8> {
    for _ in 0..rng.range(1..4) {
        let at = rng.range(0..bytes.len().max(1)).min(bytes.len());
        match rng.range(0..5) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, [0, b'"', b'\n', 0xFF, b','][rng.range(0..5)]),
            2 if at < bytes.len() => bytes[at] ^= 1 << rng.range(0..8),
            3 if at < bytes.len() => bytes[at] = [0, 1, 0x7F, 0x80, 0xFF][rng.range(0..5)],
            _ => {
                let end = (at + rng.range(1..64)).min(bytes.len());
                let copy = bytes[at..end].to_vec();
                bytes.extend(copy);
            }
        }
    }
    bytes
}
