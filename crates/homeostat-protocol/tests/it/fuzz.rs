//! The fuzz targets on their corpus and on keyed mutations of it, so that they run where no fuzzer does.

#[path = "../../fuzz/src/lib.rs"]
#[allow(unreachable_pub, reason = "public to the targets of the fuzzer")]
mod targets;

type Target = fn(&[u8]);

/// Mutations of each file of the corpus.
const MUTATIONS: u64 = 4000;

#[test]
fn no_parser_panics_or_misreads_damaged_bytes() {
    let targets: [(&str, Target); 3] =
        [("json", targets::json), ("binary", targets::binary), ("generate", targets::generate)];
    for (name, target) in targets {
        let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
        let mut files: Vec<_> = std::fs::read_dir(&corpus).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        assert!(!files.is_empty(), "{name} has no corpus");
        for (number, file) in (0..).zip(files) {
            let seed = std::fs::read(file).unwrap();
            target(&seed);
            for mutation in 0..MUTATIONS {
                target(&mutated(seed.clone(), &mut Draw(number << 32 | mutation)));
            }
        }
    }
}

/// A small generator (Steele et al. 2014, `splitmix64`), keyed by its start.
struct Draw(u64);

impl Draw {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % end.max(1) as u64) as usize
    }
}

/// A few bytes changed, moved, or cut off.
fn mutated(mut bytes: Vec<u8>, draw: &mut Draw) -> Vec<u8> {
    const TOKENS: [&[u8]; 16] = [
        b"[",
        b"]",
        b"{",
        b"}",
        b",",
        b":",
        b"\"",
        b"\\u",
        b"-",
        b".",
        b"e9",
        b"NaN",
        b"null",
        b"18446744073709551616",
        b"\xFF",
        b"\0",
    ];
    for _ in 0..1 + draw.below(3) {
        let at = draw.below(bytes.len());
        match draw.below(6) {
            0 => bytes.truncate(at),
            1 | 2 => {
                let token = TOKENS[draw.below(TOKENS.len())];
                bytes.splice(at..at, token.iter().copied());
            }
            3 if at < bytes.len() => bytes[at] ^= 1 << draw.below(8),
            4 if at < bytes.len() => drop(bytes.remove(at)),
            _ => {
                let end = (at + 1 + draw.below(40)).min(bytes.len());
                let copy = bytes[at..end].to_vec();
                let to = draw.below(bytes.len());
                bytes.splice(to..to, copy);
            }
        }
    }
    bytes
}
