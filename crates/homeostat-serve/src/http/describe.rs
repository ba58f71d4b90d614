//! The description of all paths, for programs (OpenAPI) and on a page (Swagger UI). What a path does is written where it is answered;
//! here are the shapes of what goes in and out. Of these only the names are used: `homeostat-protocol` reads and writes them.
#![expect(dead_code, reason = "shapes of JSON, which nobody makes")]

use homeostat_protocol::Datatype;
use serde_json::{Map, Value};
use utoipa::{
    IntoResponses, Modify, OpenApi, ToSchema,
    openapi::{
        Components, OpenApi as Description, Required,
        path::{Operation, ParameterBuilder, ParameterIn},
        schema::{Object, ObjectBuilder, Type},
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};
use utoipa_swagger_ui::{Config, SwaggerUi};

use super::{generate, people, v2};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Homeostat",
        version = "2",
        description = "Models that answer by the Open Inference Protocol (KServe V2). Where the server has keys, each request but those for \
                       health brings one. Every error is JSON with one field, `error`.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    tags(
        (name = "people", description = "For people"),
        (name = "protocol", description = "The Open Inference Protocol"),
        (name = "health", description = "How it is"),
        (name = "control", description = "Models"),
    ),
    paths(
        people::predict,
        v2::live,
        v2::ready,
        v2::server,
        v2::model,
        v2::model_ready,
        v2::infer,
        generate::whole,
        generate::pieces,
        v2::config,
        v2::statistics,
        v2::all_statistics,
        v2::index,
        v2::load,
        v2::unload,
    ),
    components(schemas(Fault)),
    security((), ("key" = [])),
    modifiers(&Keys, &Versions),
)]
struct Api;

/// The page at `/docs`, and what it shows at `/openapi.json`.
pub(super) fn pages() -> SwaggerUi {
    // The default validator is a server of others.
    let config = Config::new(["/openapi.json"]).validator_url("none").try_it_out_enabled(true);
    SwaggerUi::new("/docs").config(config).url("/openapi.json", Api::openapi())
}

struct Keys;

impl Modify for Keys {
    fn modify(&self, api: &mut Description) {
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        let components = api.components.get_or_insert_with(Components::new);
        components.add_security_scheme("key", SecurityScheme::Http(bearer));
    }
}

const OF_MODEL: &str = "/v2/models/{model}";

/// Whatever is asked of a model can be asked of one of its versions.
struct Versions;

impl Modify for Versions {
    fn modify(&self, api: &mut Description) {
        let twins: Vec<_> = (api.paths.paths.iter())
            .filter_map(|(path, item)| {
                let rest = path.strip_prefix(OF_MODEL)?;
                let mut item = item.clone();
                [&mut item.get, &mut item.post].into_iter().flatten().for_each(of_version);
                Some((format!("{OF_MODEL}/versions/{{version}}{rest}"), item))
            })
            .collect();
        api.paths.paths.extend(twins);
    }
}

fn of_version(operation: &mut Operation) {
    let version = ParameterBuilder::new()
        .name("version")
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .description(Some("The version's number."))
        .schema(Some(Object::with_type(Type::String)))
        .build();
    operation.parameters.get_or_insert_default().push(version.into());
    if let Some(id) = &mut operation.operation_id {
        id.push_str("_of_version");
    }
}

/// Why there is no answer.
#[derive(ToSchema)]
pub(super) struct Fault {
    /// The reason, in one line.
    #[schema(example = "there is no model `x`")]
    error: String,
}

/// What asking for a model that is not there gives.
#[derive(IntoResponses)]
#[response(status = 404, description = "There is no such model or version.")]
pub(super) struct NoModel(Fault);

/// What keeps a model from answering.
#[derive(IntoResponses)]
pub(super) enum Refused {
    /// The request does not fit the protocol or the model; `error` says why.
    #[response(status = 400)]
    Input(Fault),
    /// There is no such model or version.
    #[response(status = 404)]
    Nothing(Fault),
    /// It is larger than the server takes.
    #[response(status = 413)]
    Large(Fault),
    /// Too much is asked; `Retry-After` says when to come again.
    #[response(status = 429)]
    Overloaded(Fault),
    /// The model failed.
    #[response(status = 500)]
    Failed(Fault),
    /// The model is not ready.
    #[response(status = 503)]
    NotReady(Fault),
    /// The time that the request allows is over.
    #[response(status = 504)]
    Expired(Fault),
}

/// What keeps a model from being loaded or unloaded.
#[derive(IntoResponses)]
pub(super) enum NotControlled {
    /// It cannot be loaded; `error` says why.
    #[response(status = 400)]
    Input(Fault),
    /// The server was started without --allow-control: ask the listener of its --control.
    #[response(status = 403)]
    Forbidden(Fault),
    /// There is no such model or version.
    #[response(status = 404)]
    Nothing(Fault),
}

/// The bytes of a file.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
pub(super) struct File(Vec<u8>);

/// Files, whatever their fields are called.
#[derive(ToSchema)]
pub(super) struct Files {
    file: File,
}

/// A request as JSON.
#[derive(ToSchema)]
pub(super) struct InferRequest {
    /// What the answer is to be recognised by.
    id: Option<String>,
    /// `priority`, `timeout` in microseconds, `binary_data_output`.
    parameters: Option<Map<String, Value>>,
    inputs: Vec<Tensor>,
    outputs: Option<Vec<Output>>,
}

/// A tensor.
#[derive(ToSchema)]
pub(super) struct Tensor {
    name: String,
    shape: Vec<i64>,
    #[schema(schema_with = datatype)]
    datatype: Datatype,
    /// Flat, or nested as the shape; nothing where the bytes come behind the JSON.
    data: Option<Vec<Value>>,
    /// `binary_data_size`.
    parameters: Option<Map<String, Value>>,
}

/// What the elements of a tensor are.
fn datatype() -> Object {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(Datatype::ALL.map(|kind| kind.to_string()))).build()
}

/// An output that is asked for.
#[derive(ToSchema)]
pub(super) struct Output {
    name: String,
    /// `binary_data`, `classification`.
    parameters: Option<Map<String, Value>>,
}

/// A text to go on with.
#[derive(ToSchema)]
pub(super) struct GenerateRequest {
    /// What the answer is to be recognised by.
    id: Option<String>,
    /// What is gone on with.
    text_input: String,
    parameters: Option<GenerateParameters>,
}

/// What is left out is as the model has it. These may also stand beside `text_input`.
#[derive(ToSchema)]
pub(super) struct GenerateParameters {
    /// The most tokens that are written.
    #[schema(minimum = 1)]
    max_tokens: Option<u64>,
    /// The lower, the more likely the likeliest token; 0 always takes that.
    #[schema(minimum = 0, maximum = 1000)]
    temperature: Option<f64>,
    /// Draws among so many of the likeliest tokens alone.
    #[schema(minimum = 1)]
    top_k: Option<u64>,
    /// Draws among the fewest tokens alone that have this probability together.
    #[schema(exclusive_minimum = 0, maximum = 1)]
    top_p: Option<f64>,
    /// Above 1 it makes repetitions rarer.
    #[schema(minimum = 0.01, maximum = 100)]
    repetition_penalty: Option<f64>,
    /// Where one of these comes up, the text ends before it; a single text stands for a list of one.
    #[schema(max_items = 16)]
    stop: Option<Vec<String>>,
    /// The same seed gives the same text.
    seed: Option<u64>,
    /// How long the text may take, in microseconds.
    #[schema(minimum = 1)]
    timeout: Option<u64>,
}
