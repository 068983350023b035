//! The reference page: the OpenAPI document as a page that needs no script and nothing from elsewhere.

use actix_web::web::{Bytes, Data};
use actix_web::{HttpResponse, get};
use askama::Template;
use serde_json::Value;
use utoipa::openapi::OpenApi;

/// Methods in the order in which a path's operations are shown.
const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

#[derive(Template)]
#[template(path = "reference.html")]
struct Reference {
    title: String,
    description: String,
    version: String,
    sections: Vec<Section>,
    schemas: Vec<Schema>,
}

struct Section {
    name: String,
    description: String,
    operations: Vec<Operation>,
}

struct Operation {
    method: String,
    path: String,
    summary: String,
    parameters: Vec<Field>,
    body: Option<Body>,
    responses: Vec<Response>,
}

struct Response {
    status: String,
    description: String,
    body: Option<Body>,
}

struct Body {
    name: String,
    is_schema: bool,
}

struct Schema {
    name: String,
    description: String,
    fields: Vec<Field>,
}

struct Field {
    name: String,
    place: String,
    kind: String,
    description: String,
    required: bool,
}

/// The page as it is sent.
#[derive(Debug, Clone)]
pub struct ReferenceText(pub Bytes);

/// Sends it.
#[get("/api/v1/reference")]
pub async fn send_reference(text: Data<ReferenceText>) -> HttpResponse {
    HttpResponse::Ok().content_type("text/html; charset=utf-8").body(text.0.clone())
}

/// The page of `document`.
///
/// # Errors
/// When the document is no JSON, or the template fails.
pub fn render(document: &OpenApi) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
    let document = serde_json::to_value(document)?;
    let page = Reference {
        title: text(&document["info"]["title"]),
        description: text(&document["info"]["description"]),
        version: text(&document["info"]["version"]),
        sections: items(&document["tags"]).map(|tag| section(&document, tag)).collect(),
        schemas: entries(&document["components"]["schemas"]).map(|(name, schema)| schema_of(name, schema)).collect(),
    };
    Ok(page.render()?)
}

fn section(document: &Value, tag: &Value) -> Section {
    let name = text(&tag["name"]);
    let mut operations = Vec::new();
    for (path, item) in entries(&document["paths"]) {
        for method in METHODS {
            let operation = &item[method];
            if items(&operation["tags"]).any(|tag| tag.as_str() == Some(&name)) {
                operations.push(operation_of(method, path, operation));
            }
        }
    }
    Section { name, description: text(&tag["description"]), operations }
}

fn operation_of(method: &str, path: &str, operation: &Value) -> Operation {
    let parameter = |parameter: &Value| Field {
        name: text(&parameter["name"]),
        place: text(&parameter["in"]),
        kind: kind(&parameter["schema"]),
        description: text(&parameter["description"]),
        required: parameter["required"] == true,
    };
    let response = |(status, response): (&String, &Value)| Response {
        status: status.clone(),
        description: text(&response["description"]),
        body: body(&response["content"]),
    };
    Operation {
        method: method.to_uppercase(),
        path: path.to_owned(),
        summary: text(&operation["summary"]),
        parameters: items(&operation["parameters"]).map(parameter).collect(),
        body: body(&operation["requestBody"]["content"]),
        responses: entries(&operation["responses"]).map(response).collect(),
    }
}

fn body(content: &Value) -> Option<Body> {
    let (media_type, content) = entries(content).next()?;
    let schema = &content["schema"];
    match reference_of(schema) {
        Some(name) => Some(Body { name, is_schema: true }),
        None if schema.is_object() => Some(Body { name: kind(schema), is_schema: false }),
        None => Some(Body { name: media_type.clone(), is_schema: false }),
    }
}

fn schema_of(name: &str, schema: &Value) -> Schema {
    let mut fields = Vec::new();
    add_fields(schema, &mut fields);
    let mut description = text(&schema["description"]);
    let words: Vec<String> = items(&schema["enum"]).map(text).collect();
    if !words.is_empty() {
        description = format!("{description} One of: {}", words.join(", "));
    }
    Schema { name: name.to_owned(), description, fields }
}

fn add_fields(schema: &Value, fields: &mut Vec<Field>) {
    for part in ["allOf", "oneOf"] {
        items(&schema[part]).for_each(|part| add_fields(part, fields));
    }
    for (name, property) in entries(&schema["properties"]) {
        fields.push(Field {
            name: name.clone(),
            place: String::new(),
            kind: kind(property),
            description: text(&property["description"]),
            required: items(&schema["required"]).any(|required| required.as_str() == Some(name)),
        });
    }
}

/// The type of a schema in words: `integer`, `list of string`, `string or null`, a schema's name.
fn kind(schema: &Value) -> String {
    if let Some(name) = reference_of(schema) {
        return name;
    }
    let any: Vec<String> = items(&schema["oneOf"]).chain(items(&schema["anyOf"])).map(kind).collect();
    if !any.is_empty() {
        return any.join(" or ");
    }
    if schema["type"] == "array" {
        return format!("list of {}", kind(&schema["items"]));
    }
    match &schema["type"] {
        Value::Array(types) => types.iter().map(text).collect::<Vec<_>>().join(" or "),
        other => text(other),
    }
}

fn reference_of(schema: &Value) -> Option<String> {
    Some(schema["$ref"].as_str()?.rsplit('/').next()?.to_owned())
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_operation_and_schema_of_the_document_is_on_the_page() {
        let document = crate::doors::api::document();
        let page = super::render(&document).unwrap();
        let document = serde_json::to_value(&document).unwrap();
        let mut operations = 0;
        for (path, item) in super::entries(&document["paths"]) {
            for method in super::METHODS.iter().filter(|method| item[**method].is_object()) {
                operations += 1;
                assert!(page.contains(&format!("<code>{} {path}</code>", method.to_uppercase())), "{method} {path}");
            }
        }
        assert!(operations > 40, "{operations}");
        for (name, _) in super::entries(&document["components"]["schemas"]) {
            assert!(page.contains(&format!("id=\"schema-{name}\"")), "{name}");
        }
        assert!(!page.contains("<script"), "it needs no script");
        // Descriptions may tell of addresses; nothing is fetched from one.
        for elsewhere in ["src=\"http", "href=\"http", "action=\"http", "src=\"//", "href=\"//", "url(", "@import"] {
            assert!(!page.contains(elsewhere), "it needs nothing from elsewhere: {elsewhere}");
        }
    }

    #[test]
    fn the_document_is_openapi_3_1_and_every_operation_says_what_it_does() {
        let document = serde_json::to_value(crate::doors::api::document()).unwrap();
        assert_eq!(document["openapi"], "3.1.0");
        for (path, item) in super::entries(&document["paths"]) {
            for (method, operation) in super::entries(item) {
                assert!(operation["summary"].as_str().is_some_and(|text| !text.is_empty()), "{method} {path}");
                assert!(operation["responses"]["401"].is_object(), "{method} {path}");
            }
        }
    }
}
