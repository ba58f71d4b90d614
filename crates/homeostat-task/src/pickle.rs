//! What a pickle asks Python for, by name, found without running it: weights ask for tensors and containers, code for something
//! else. It does not know tensors; `pytorch-reader` reads those, and passes over what it does not know.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
};

use pytorch_reader::{FileFormat, OpCode};
use zip::ZipArchive;

use crate::name_fits;

/// What weights, whole modules and the checkpoints of trainings are made of; a `*` stands for anything.
const PARTS: &[&str] = &[
    "collections.OrderedDict",
    "collections.defaultdict",
    "collections.Counter",
    "collections.deque",
    "torch._utils._rebuild_*",
    "torch._tensor._rebuild_*",
    "torch.*Storage",
    "torch.Tensor",
    "torch.Size",
    "torch.device",
    "torch.dtype",
    "torch.float*",
    "torch.bfloat16",
    "torch.half",
    "torch.double",
    "torch.int*",
    "torch.uint*",
    "torch.short",
    "torch.long",
    "torch.bool",
    "torch.nn.parameter.*",
    "torch.nn.modules.*",
    "torch.optim.*",
    "torch.serialization._get_layout",
    "torchvision.models.*",
    "torchvision.ops.*",
    "timm.models.*",
    "timm.layers.*",
    "numpy.dtype",
    "numpy.dtypes.*",
    "numpy.ndarray",
    "numpy.*.multiarray._reconstruct",
    "numpy.*.multiarray.scalar",
    "argparse.Namespace",
    "datetime.*",
    "pathlib.*Path",
    "_codecs.encode",
    "copyreg._reconstructor",
    "copy_reg._reconstructor",
];
/// The types of Python itself, under the names of Python 2 and 3.
const BUILT_IN: [&str; 2] = ["builtins.", "__builtin__."];
const TYPES: &[&str] = &[
    "object",
    "int",
    "long",
    "float",
    "complex",
    "bool",
    "str",
    "unicode",
    "bytes",
    "bytearray",
    "list",
    "tuple",
    "dict",
    "set",
    "frozenset",
    "slice",
    "range",
    "xrange",
];
/// The pickles before the tensors of a file of PyTorch 0.1.10 to 1.5: magic number, version, system, the object, the storages.
const LEGACY_PICKLES: usize = 5;
const ASKS: &str = "its pickle asks for";
/// A longer string is no name, and a longer line no number.
const LONGEST_NAME: u64 = 1 << 10;
const LONGEST_LINE: u64 = 1 << 20;

/// Refuses a file of PyTorch whose pickles ask for more than weights are made of.
///
/// # Errors
/// Names the first such thing, or says why the pickles cannot be read.
pub(crate) fn check(path: &Path, format: &FileFormat) -> Result<(), String> {
    let open = || File::open(path).map_err(|error| error.to_string());
    match format {
        FileFormat::Zip => {
            let mut archive = ZipArchive::new(BufReader::new(open()?)).map_err(|error| error.to_string())?;
            for entry in 0..archive.len() {
                let entry = archive.by_index(entry).map_err(|error| error.to_string())?;
                if entry.name_raw().ends_with(b".pkl") {
                    Pickle::new(BufReader::new(entry)).check()?;
                }
            }
            Ok(())
        }
        FileFormat::Legacy => {
            let mut file = BufReader::new(open()?);
            (0..LEGACY_PICKLES).try_for_each(|_| Pickle::new(&mut file).check())
        }
        FileFormat::Pickle => Pickle::new(BufReader::new(open()?)).check(),
        // Its tensors stand between pickles without a length that could be trusted.
        FileFormat::Tar => {
            Err("a file of PyTorch before 0.1.10 is not read: load and save it with a newer one".to_owned())
        }
    }
}

/// What a file of PyTorch that cannot be read asks for, where that is no part of weights.
pub(crate) fn asks(path: &Path) -> Option<String> {
    let problems = [FileFormat::Zip, FileFormat::Pickle].into_iter().filter_map(|format| check(path, &format).err());
    problems.into_iter().find(|problem| problem.starts_with(ASKS))
}

fn is_part_of_weights(name: &str) -> bool {
    let of_python = BUILT_IN.iter().find_map(|module| name.strip_prefix(module));
    of_python.is_some_and(|name| TYPES.contains(&name)) || PARTS.iter().any(|part| name_fits(part, name))
}

/// A pickle on its way past, and what a name may be put together from.
struct Pickle<R> {
    bytes: R,
    memo: HashMap<u64, Option<String>>,
    /// What the last two instructions pushed, where that was a short string.
    pushed: [Option<String>; 2],
}

impl<R: BufRead> Pickle<R> {
    fn new(bytes: R) -> Self {
        Self { bytes, memo: HashMap::new(), pushed: [None, None] }
    }

    fn check(mut self) -> Result<(), String> {
        while self.step()? {}
        Ok(())
    }

    /// One instruction; whether there is another.
    fn step(&mut self) -> Result<bool, String> {
        use OpCode as Op;
        let byte = self.number(1)?;
        let byte = u8::try_from(byte).unwrap_or_default();
        let unknown = || format!("its pickle has an instruction that is not known: {byte:#04x}");
        match Op::try_from(byte).map_err(|_| unknown())? {
            Op::Stop => return Ok(false),
            Op::Global => {
                let (module, name) = (self.line()?, self.line()?);
                allow(&module, &name)?;
                self.push(None);
            }
            Op::StackGlobal => {
                let [Some(module), Some(name)] = &self.pushed else {
                    return Err("its pickle hides what it asks for".to_owned());
                };
                allow(module, name)?;
                self.push(None);
            }
            Op::Ext1 | Op::Ext2 | Op::Ext4 => return Err("its pickle asks for something by number".to_owned()),
            Op::Unicode => {
                let line = self.line()?;
                self.push(Some(line));
            }
            Op::ShortBinUnicode | Op::ShortBinString => self.string(1)?,
            Op::BinUnicode | Op::BinString => self.string(4)?,
            Op::BinUnicode8 => self.string(8)?,
            Op::Put => {
                let key = self.line()?;
                self.keep(key.parse().map_err(|_| unknown())?);
            }
            Op::BinPut => {
                let key = self.number(1)?;
                self.keep(key);
            }
            Op::LongBinPut => {
                let key = self.number(4)?;
                self.keep(key);
            }
            Op::Memoize => self.keep(self.memo.len() as u64),
            Op::Get => {
                let key = self.line()?;
                self.recall(key.parse().map_err(|_| unknown())?);
            }
            Op::BinGet => {
                let key = self.number(1)?;
                self.recall(key);
            }
            Op::LongBinGet => {
                let key = self.number(4)?;
                self.recall(key);
            }
            // These push nothing.
            Op::Proto => self.skip(1)?,
            Op::Frame => self.skip(8)?,
            other => {
                self.other(other).ok_or_else(unknown)??;
                self.pushed = [None, None];
            }
        }
        Ok(true)
    }

    /// What follows an instruction that has no name in it; none if it is not known.
    fn other(&mut self, op: OpCode) -> Option<Result<(), String>> {
        use OpCode as Op;
        Some(match op {
            Op::Int | Op::Long | Op::Float | Op::PersId => self.line().map(drop),
            Op::BinInt1 => self.skip(1),
            Op::BinInt2 => self.skip(2),
            Op::BinInt => self.skip(4),
            Op::BinFloat => self.skip(8),
            Op::Long1 | Op::ShortBinBytes => self.skip_counted(1),
            Op::Long4 | Op::BinBytes => self.skip_counted(4),
            Op::BinBytes8 | Op::ByteArray8 => self.skip_counted(8),
            Op::Mark | Op::Pop | Op::PopMark | Op::Dup | Op::None | Op::NewTrue | Op::NewFalse | Op::BinPersId => {
                Ok(())
            }
            Op::Reduce | Op::Build | Op::NewObj | Op::NewObjEx => Ok(()),
            Op::Dict | Op::List | Op::Tuple | Op::EmptyTuple | Op::EmptyList | Op::EmptyDict | Op::EmptySet => Ok(()),
            Op::Tuple1 | Op::Tuple2 | Op::Tuple3 | Op::FrozenSet => Ok(()),
            Op::SetItem | Op::SetItems | Op::Append | Op::Appends | Op::AddItems => Ok(()),
            Op::NextBuffer | Op::ReadonlyBuffer => Ok(()),
            _ => return None,
        })
    }

    fn push(&mut self, value: Option<String>) {
        self.pushed.swap(0, 1);
        self.pushed[1] = value;
    }

    fn keep(&mut self, key: u64) {
        self.memo.insert(key, self.pushed[1].clone());
    }

    fn recall(&mut self, key: u64) {
        let value = self.memo.get(&key).cloned().flatten();
        self.push(value);
    }

    /// A string whose length is a number of so many bytes.
    fn string(&mut self, width: usize) -> Result<(), String> {
        let length = self.number(width)?;
        if length > LONGEST_NAME {
            self.push(None);
            return self.skip(length);
        }
        let mut text = Vec::new();
        (&mut self.bytes).take(length).read_to_end(&mut text).map_err(cut)?;
        let whole = text.len() as u64 == length;
        self.push(String::from_utf8(text).ok());
        if whole { Ok(()) } else { Err(cut_short()) }
    }

    fn skip_counted(&mut self, width: usize) -> Result<(), String> {
        let length = self.number(width)?;
        self.skip(length)
    }

    fn skip(&mut self, length: u64) -> Result<(), String> {
        let skipped = io::copy(&mut (&mut self.bytes).take(length), &mut io::sink()).map_err(cut)?;
        if skipped == length { Ok(()) } else { Err(cut_short()) }
    }

    /// A whole number of so many bytes, the least first.
    fn number(&mut self, width: usize) -> Result<u64, String> {
        let mut bytes = [0; 8];
        self.bytes.read_exact(&mut bytes[..width]).map_err(cut)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn line(&mut self) -> Result<String, String> {
        let mut line = Vec::new();
        (&mut self.bytes).take(LONGEST_LINE).read_until(b'\n', &mut line).map_err(cut)?;
        match line.pop() {
            Some(b'\n') => Ok(String::from_utf8_lossy(&line).into_owned()),
            _ => Err(cut_short()),
        }
    }
}

fn allow(module: &str, name: &str) -> Result<(), String> {
    let name = format!("{module}.{name}");
    if is_part_of_weights(&name) {
        return Ok(());
    }
    let name: String = name.chars().filter(|letter| !letter.is_control()).take(120).collect();
    Err(format!("{ASKS} `{name}`, which is no part of weights; nothing of it is run: save the state dict alone"))
}

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn cut(error: io::Error) -> String {
    if error.kind() == io::ErrorKind::UnexpectedEof { cut_short() } else { error.to_string() }
}

fn cut_short() -> String {
    "its pickle is cut short".to_owned()
}

#[cfg(test)]
mod tests {
    use super::Pickle;

    fn said(bytes: &[u8]) -> Result<(), String> {
        Pickle::new(bytes).check()
    }

    #[test]
    fn what_is_asked_for_is_found_however_it_is_written() {
        // Each as Python's `pickletools` shows it; those that are refused come with what is said.
        let cases: [(&[u8], Option<&str>); 12] = [
            (b"\x80\x02ccollections\nOrderedDict\n)R.", None),
            (b"\x80\x04\x8c\x0bcollections\x94\x8c\x0bOrderedDict\x94\x93\x94)R.", None),
            (b"c__builtin__\nset\n.", None),
            (b"c__builtin__\neval\n.", Some("`__builtin__.eval`")),
            (b"\x80\x02cposix\nsystem\nU\x04true\x85R.", Some("`posix.system`")),
            (b"\x80\x04\x8c\x05posix\x8c\x06system\x93.", Some("`posix.system`")),
            // By the memo, both names.
            (b"\x80\x04\x8c\x05posix\x94\x8c\x06system\x940000h\x00h\x01\x93.", Some("`posix.system`")),
            // Names that are not where they seem to be.
            (b"\x80\x04\x8c\x05posix\x8c\x06system\x8c\x05torch\x8c\x04Size00\x93.", Some("hides")),
            (b"\x80\x04\x8c\x05posix\x8c\x06systemh\x07\x93.", Some("hides")),
            // Done, and thrown away before the weights come.
            (b"\x80\x02cos\nsystem\nU\x04true\x85R0}.", Some("`os.system`")),
            (b"\x80\x02\x82\x01.", Some("by number")),
            (b"\x80\x02}", Some("cut short")),
        ];
        for (bytes, refused) in cases {
            let text = String::from_utf8_lossy(bytes);
            match (said(bytes), refused) {
                (Ok(()), None) => {}
                (Err(said), Some(words)) => assert!(said.contains(words), "{text}: {said}"),
                (said, _) => panic!("{text}: {said:?}"),
            }
        }
    }

    #[test]
    fn what_follows_an_instruction_is_not_taken_for_the_next() {
        let values = [
            &b"I12\n"[..],
            b"L12L\n",
            b"F1.5\n",
            b"VText\n",
            b"K\x0c",
            b"M\x0cc",
            b"J\x0cccc",
            b"Gcccccccc",
            b"\x8a\x02cc",
            b"\x8b\x02\0\0\0cc",
            b"U\x01c",
            b"T\x01\0\0\0c",
            b"X\x01\0\0\0c",
            b"\x8d\x01\0\0\0\0\0\0\0c",
            b"C\x01c",
            b"B\x01\0\0\0c",
            b"\x8e\x01\0\0\0\0\0\0\0c",
            b"\x96\x01\0\0\0\0\0\0\0c",
            b"q\x63",
            b"rcccc",
            b"p99\n",
            b"g99\n",
            b"h\x63",
            b"jcccc",
            b"\x95cccccccc",
            b"Pcc\n",
        ];
        let all = [&b"\x80\x05"[..], &values.concat(), b"."].concat();
        assert_eq!(said(&all), Ok(()));
        for cut in 1..all.len() {
            assert!(said(&all[..cut]).is_err(), "cut to {cut}");
        }
    }
}
