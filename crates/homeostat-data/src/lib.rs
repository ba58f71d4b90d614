//! Bytes into samples, samples into inputs, on the host.
//!
//! ```
//! use homeostat_data::{DataRoot, ImageAugment, ImagePrepare, SampleKey, SourceConfig, SplitConfig};
//!
//! let source = SourceConfig::Digits.open(&DataRoot::default())?;
//! let splits = SplitConfig::default().split(&source, 1)?;
//! let (augment, prepare) = (ImageAugment::default(), ImagePrepare::default());
//!
//! let sample = splits.train[0];
//! let key = SampleKey { seed: 1, epoch: 0, sample: sample as u64 };
//! let input = prepare.host(augment.apply(source.get(sample)?, key))?;
//! assert_eq!(input.pixels().len(), 64);
//! # Ok::<(), homeostat_data::DataError>(())
//! ```
//!
//! It does not know Burn, tensors or devices, what a label means to a loss, nor the experiment that names its sources.

mod affine;
mod any_source;
mod assortment;
mod augment;
mod buckets;
mod conversion;
mod corpus;
mod data_root;
mod description;
mod digest;
mod error;
mod gathered;
mod guard;
mod image;
mod interactions;
mod jpeg;
mod known;
mod labels;
mod loader;
mod mix;
mod prepare;
mod progressive;
mod resize;
mod rng;
mod row_names;
mod rows;
mod sampling;
mod source;
mod source_word;
mod split;
mod stats;
mod strings;
mod table;
mod tabled;
mod text_augment;
mod text_prepare;
mod text_source;
mod token_batch;
mod tokenizer;
mod views;
mod widest;
mod windows;

pub use any_source::AnySource;
pub use assortment::{ASSORTMENT_FILE, Assortment, Item};
pub use augment::{
    AugMix, AugmentStep, AutoAugment, AutoAugmentPolicy, Blur, Chance, ColorJitter, Cutout, Elastic, Erasing, Flip,
    ImageAugment, Jitter, JpegArtefacts, Noise, Operation, Perspective, Posterize, RandAugment, RandomCrop,
    RandomResizedCrop, Rotate, SampleKey, Scale, Sharpness, Shear, Solarize, Translate, TrivialAugment,
};
pub use buckets::Buckets;
pub use conversion::Conversion;
pub use corpus::Corpus;
pub use data_root::DataRoot;
pub use description::{
    Alike, Bin, ClassCount, Description, Distribution, ImageFacts, Levels, NameGroups, ShapeCount, TextFacts, describe,
    describe_texts,
};
pub use digest::Digest;
pub use error::DataError;
pub use guard::hush_caught_panics;
pub use image::{Image, PIXEL_LIMIT, Shape};
pub use interactions::{Histories, History, InteractionsConfig, Purchase};
pub use known::{KnownData, KnownFile};
pub use labels::LabelKind;
pub use loader::{Loader, LoaderOptions, Weigh};
pub use mix::{BatchKey, MixConfig, Mixed};
pub use prepare::{CenterCrop, ImagePrepare, Normalize, PrepareStep, Resize, ResizeMode, Size};
pub use progressive::Progressive;
pub use resize::{Filter, resize};
pub use rng::{Rng, stream};
pub use rows::{OnCorrupt, Rows, Skipped};
pub use sampling::{SamplingConfig, WeightedSampling, WindowSampling};
pub use source::{
    Cifar10Config, Cifar100Config, Cifar100Labels, Given, IdxConfig, ImageFolderConfig, ImageTableConfig, NumpyConfig,
    PackSummary, PackedConfig, Pictures, Place, Source, SourceConfig, Store, WebDatasetConfig,
};
pub use split::{
    GivenSplit, GroupBy, GroupKFoldSplit, GroupSplit, KFoldSplit, SequentialSplit, SplitConfig, SplitRecord, Splits,
    StratifiedSplit,
};
pub use stats::ChannelStats;
pub use table::{Cell, Encoding, Row, Table, TableFormat, TableKind, TableRows};
pub use text_augment::{TextAugment, TextAugmentStep, WordShare};
pub use text_prepare::{TextPrepare, Tokens, TooLong};
pub use text_source::{TextFolderConfig, TextSample, TextSource, TextSourceConfig, TextTableConfig, TextUnit, Texts};
pub use token_batch::TokenBatch;
pub use tokenizer::{TOKENIZER_FILE, TokenStream, Tokenizer, TokenizerConfig, TokenizerKind};
pub use views::{TestViews, five_corners, five_crops, with_mirrored};
pub use windows::Windows;
