//! Artifacts that each test publishes for itself, and a server in process that is asked without a socket.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{Router, body::Body};
use bytes::Bytes;
use homeostat_artifact::{Artifact, Golden, Parts, Weights as ArtifactWeights};
use homeostat_config::to_toml;
use homeostat_data::{
    Image, ImagePrepare, Normalize, PrepareStep, Resize, Rng, Shape, Size, TOKENIZER_FILE, Tokenizer, TokenizerConfig,
    TokenizerKind,
};
use homeostat_deploy::{BatcherConfig, Endpoint, Predictor, WritersConfig};
use homeostat_models::{ImageModelConfig, LanguageNetworkConfig, MlpConfig};
use homeostat_serve::{Engine, HttpOptions, Opening, Source, app};
use homeostat_task::{Task, Weights};
use homeostat_tasks::{
    GenerationConfig, ImageClassificationConfig, InputShape, LanguageModelConfig, LossConfig, TaskConfig,
    TextClassificationConfig,
};
use http_body_util::BodyExt;
use hyper::{Method, Request, StatusCode, header::HeaderMap};
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt;

pub(crate) const LABELS: [&str; 3] = ["ant", "bee", "cat"];
pub(crate) const GOLDEN: u64 = 4;

pub(crate) fn device() -> burn::tensor::Device {
    homeostat_device::open(homeostat_device::DeviceChoice::Cpu).unwrap()
}

/// The device's generator belongs to the process, so one test at a time draws from it. A server that loads a network draws, too: what
/// came out twice was not disturbed. The bytes also make that the parameters are drawn here, and not at their first use.
fn drawn<T: Task>(task: &T, seed: u64) -> T::Model {
    static DRAWING: Mutex<()> = Mutex::new(());
    let _guard = DRAWING.lock().unwrap_or_else(PoisonError::into_inner);
    let device = device();
    let draw = || {
        device.seed(seed);
        let model = task.init(&device).unwrap();
        let bytes = Weights::of(&model).to_safetensors(&BTreeMap::new());
        (model, bytes)
    };
    let mut before = draw().1;
    loop {
        let (model, bytes) = draw();
        if bytes == before {
            return model;
        }
        before = bytes;
    }
}

fn parts<T: Task>(task: &T, config: &TaskConfig, seed: u64, requests: Vec<Vec<u8>>) -> Parts {
    let model = drawn(task, seed);
    let weights = Weights::of(&model);
    let predictor = Predictor::new(task.clone(), model, device());
    let golden = requests.into_iter().enumerate().map(|(number, request)| {
        let answer = Endpoint::answer(&predictor, &[&request]).remove(0).unwrap();
        Golden { name: format!("{number:02}"), request, answer }
    });
    Parts {
        kind: config.kind().into(),
        created: "2026-11-23T17:13:05Z".into(),
        task: to_toml(config),
        model: ArtifactWeights::Bytes(weights.to_safetensors(&BTreeMap::new())),
        assets: BTreeMap::new(),
        golden: golden.collect(),
    }
}

/// A network for pictures of 2 x 3 pixels in colour, with the weights of a seed.
pub(crate) fn pictures(seed: u64) -> Parts {
    let config = ImageClassificationConfig {
        labels: LABELS.map(str::to_owned).to_vec(),
        input: Some(InputShape { channels: 3, height: 2, width: 3 }),
        prepare: ImagePrepare(vec![
            PrepareStep::Resize(Resize { size: Size::Rectangle([2, 3]), ..Resize::default() }),
            PrepareStep::Normalize(Normalize { mean: vec![0.5, 0.4, 0.6], std: vec![0.25, 0.2, 0.3] }),
        ]),
        model: ImageModelConfig::Mlp(MlpConfig { hidden: vec![8], dropout: 0.0 }),
        loss: LossConfig::default(),
        temperature: 1.0,
        tta: None,
    };
    let task = config.init().unwrap();
    parts(&task, &TaskConfig::ImageClassification(config), seed, (0..GOLDEN).map(picture).collect())
}

/// A network for texts.
pub(crate) fn texts(seed: u64) -> Parts {
    let tokenizer = TokenizerConfig { size: 60, ..TokenizerConfig::default() };
    let tokenizer =
        Tokenizer::train(&tokenizer, ["The cat sat.", "The cat ate the rat.", "A dog saw the cat."]).unwrap();
    let config = TextClassificationConfig {
        labels: LABELS.map(str::to_owned).to_vec(),
        vocabulary: Some(tokenizer.size()),
        ..TextClassificationConfig::default()
    };
    let requests = ["the cat", "a rat", "the dog saw the cat and the rat", "ate"].map(|text| text.as_bytes().to_vec());
    let task = config.init(tokenizer.clone()).unwrap();
    let mut parts = parts(&task, &TaskConfig::TextClassification(config), seed, requests.to_vec());
    parts.assets.insert(TOKENIZER_FILE.into(), tokenizer.to_json().into());
    parts
}

/// A network that writes texts, a letter a token, and has learnt nothing.
pub(crate) fn words(seed: u64) -> Parts {
    let tokenizer = TokenizerConfig { kind: TokenizerKind::Characters, size: 60, lowercase: false };
    let tokenizer = Tokenizer::train(&tokenizer, ["the cat sat on a mat, and the dog \u{e4}te it!\n"]).unwrap();
    let config = LanguageModelConfig {
        vocabulary: Some(tokenizer.size()),
        length: 12,
        model: LanguageNetworkConfig::examples().remove(0),
        generation: GenerationConfig { max_tokens: 20, ..GenerationConfig::default() },
        ..LanguageModelConfig::default()
    };
    let request = |text| json!({ "prompt": text, "temperature": 0, "max-tokens": 8 }).to_string().into_bytes();
    let task = config.init(tokenizer.clone()).unwrap();
    let requests = ["the cat", "a"].map(request).to_vec();
    let mut parts = parts(&task, &TaskConfig::LanguageModel(config), seed, requests);
    parts.assets.insert(TOKENIZER_FILE.into(), tokenizer.to_json().into());
    parts
}

/// A picture file of noise.
pub(crate) fn picture(number: u64) -> Vec<u8> {
    let mut rng = Rng::keyed(11, [number, 0, 0]);
    let shape = Shape { height: 7, width: 6, channels: 3 };
    Image::new(shape, (0..shape.len()).map(|_| rng.next_u64().to_le_bytes()[3]).collect()).encode_png()
}

pub(crate) fn publish(path: &Path, parts: &Parts) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    Artifact::publish(path, parts).unwrap();
}

pub(crate) fn opening() -> Opening {
    Opening {
        device: device(),
        batcher: BatcherConfig { threads: 1, ..BatcherConfig::default() },
        writers: WritersConfig { threads: 1, ..WritersConfig::default() },
        most_rows: 100,
        latency: None,
        wrap: None,
    }
}

/// Publishes models into a folder, each under its name.
pub(crate) fn published(folder: &Path, models: &[(&str, Parts)]) -> Source {
    let named = models.iter().map(|(name, parts)| {
        let path = folder.join(name);
        publish(&path, parts);
        ((*name).to_owned(), path)
    });
    Source::named(named).unwrap()
}

/// A server in process, with all that it serves.
pub(crate) struct Place {
    pub(crate) engine: Arc<Engine>,
    pub(crate) router: Router,
    pub(crate) folder: TempDir,
}

impl Place {
    /// The models `pictures` and `texts`.
    pub(crate) async fn new() -> Self {
        Self::with(opening(), HttpOptions { allow_control: true, ..HttpOptions::default() }).await
    }

    pub(crate) async fn with(opening: Opening, options: HttpOptions) -> Self {
        Self::of(&[("pictures", pictures(1)), ("texts", texts(1))], opening, options).await
    }

    /// These models.
    pub(crate) async fn of(models: &[(&str, Parts)], opening: Opening, options: HttpOptions) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let engine = Engine::new(published(folder.path(), models), opening);
        engine.refresh().await.unwrap();
        Self { router: app(Arc::clone(&engine), options), engine, folder }
    }

    /// Asks, and takes the answer whatever it is.
    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.router.clone().oneshot(request.body(Body::from(body.into())).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        Answer { status: parts.status, headers: parts.headers, body: body.collect().await.unwrap().to_bytes() }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, &[], "").await
    }

    pub(crate) async fn post(&self, path: &str, body: impl Into<Bytes>) -> Answer {
        self.ask(Method::POST, path, &[], body).await
    }
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    /// The JSON of an answer of this status.
    pub(crate) fn json(&self, status: u16) -> Value {
        let text = String::from_utf8_lossy(&self.body);
        assert_eq!(self.status.as_u16(), status, "{text}");
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// The one line of an error.
    pub(crate) fn error(&self, status: u16) -> String {
        let line = self.json(status)["error"].as_str().unwrap().to_owned();
        assert!(!line.contains('\n') && line.len() < 400, "{line}");
        line
    }
}

/// A prepared picture as the protocol has it, nested or flat.
pub(crate) fn infer_body(values: &[f32]) -> Value {
    serde_json::json!({ "inputs": [
        { "name": "image", "shape": [values.len() / 18, 3, 2, 3], "datatype": "FP32", "data": values }
    ] })
}

/// Values of so many prepared pictures.
pub(crate) fn values(pictures: usize) -> Vec<f32> {
    (0..pictures * 18).map(|at| ((at * 37) % 101) as f32 / 50.0 - 1.0).collect()
}
