//! Requests: scope, operation, key and payload.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use self_cell::self_cell;

use crate::bytes::Text;
use crate::error::Given;

/// Whose request it is.
#[pyclass(frozen, eq, hash, module = "oncegate", from_py_object)]
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Scope(Name);

#[derive(Clone, PartialEq, Eq, Hash)]
enum Name {
    Given(Vec<u8>),
    SingleTenant,
    Unauthenticated,
}

impl Scope {
    /// As the engine takes it.
    pub(crate) fn view(&self) -> Result<oncegate::Scope<'_>, oncegate::Error> {
        match &self.0 {
            Name::Given(name) => oncegate::Scope::new(name),
            Name::SingleTenant => Ok(oncegate::Scope::single_tenant()),
            Name::Unauthenticated => Ok(oncegate::Scope::unauthenticated()),
        }
    }
}

#[pymethods]
impl Scope {
    #[new]
    fn new(name: Text) -> Given<Self> {
        let scope = Self(Name::Given(name.0));
        scope.view()?;
        Ok(scope)
    }

    #[classattr]
    #[pyo3(name = "SINGLE_TENANT")]
    fn single_tenant() -> Self {
        Self(Name::SingleTenant)
    }

    #[classattr]
    #[pyo3(name = "UNAUTHENTICATED")]
    fn unauthenticated() -> Self {
        Self(Name::Unauthenticated)
    }

    /// The tenant's name; none for the two that have no tenant.
    #[getter]
    fn name<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        match &self.0 {
            Name::Given(name) => Some(PyBytes::new(py, name)),
            Name::SingleTenant | Name::Unauthenticated => None,
        }
    }

    fn __repr__(&self) -> String {
        match &self.0 {
            Name::Given(name) => format!("Scope(<{} bytes>)", name.len()),
            Name::SingleTenant => "Scope.SINGLE_TENANT".to_owned(),
            Name::Unauthenticated => "Scope.UNAUTHENTICATED".to_owned(),
        }
    }
}

/// A scope, or the name of one.
pub(crate) struct AnyScope(pub(crate) Scope);

impl<'py> FromPyObject<'_, 'py> for AnyScope {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(scope) = value.cast::<Scope>() {
            return Ok(Self(scope.get().clone()));
        }
        Ok(Self(Scope::new(value.extract()?)?))
    }
}

/// What a payload's bytes are.
#[derive(Clone)]
enum Format {
    Raw,
    Json,
    Form,
    Multipart(String),
}

type Texts<'a> = Vec<&'a str>;

self_cell!(
    /// JSON pointers, and references to them, as the engine takes them.
    struct Pointers {
        owner: Vec<String>,
        #[covariant]
        dependent: Texts,
    }
);

impl Pointers {
    fn of(texts: Vec<String>) -> Self {
        Self::new(texts, |texts| texts.iter().map(String::as_str).collect())
    }
}

/// What the same key may not be sent with twice in two versions.
#[pyclass(frozen, module = "oncegate", from_py_object)]
#[derive(Clone)]
pub(crate) struct Payload {
    bytes: Arc<[u8]>,
    format: Format,
    /// Those that are left out, and those that count; few payloads have any.
    pointers: Option<Arc<(Pointers, Pointers)>>,
}

impl Payload {
    fn of(bytes: &Bound<'_, PyBytes>, format: Format) -> Self {
        Self { bytes: bytes.as_bytes().into(), format, pointers: None }
    }

    /// Pointers that were given before.
    fn texts(&self, of: impl FnOnce(&(Pointers, Pointers)) -> &Pointers) -> Vec<String> {
        self.pointers.as_deref().map_or_else(Vec::new, |both| of(both).borrow_owner().clone())
    }

    /// As the engine takes it.
    pub(crate) fn view(&self) -> oncegate::Payload<'_> {
        let payload = match &self.format {
            Format::Raw => oncegate::Payload::raw(&self.bytes),
            Format::Json => oncegate::Payload::json(&self.bytes),
            Format::Form => oncegate::Payload::form(&self.bytes),
            Format::Multipart(boundary) => oncegate::Payload::multipart(&self.bytes, boundary),
        };
        match &self.pointers {
            None => payload,
            Some(both) => {
                let (excluded, included) = &**both;
                payload
                    .excluding(excluded.borrow_dependent())
                    .including(included.borrow_dependent())
            }
        }
    }
}

#[pymethods]
impl Payload {
    /// Bytes, compared as they are.
    #[staticmethod]
    fn raw(data: &Bound<'_, PyBytes>) -> Self {
        Self::of(data, Format::Raw)
    }

    /// A JSON document, compared by its canonical form (RFC 8785).
    #[staticmethod]
    fn json(data: &Bound<'_, PyBytes>) -> Self {
        Self::of(data, Format::Json)
    }

    /// A form (`application/x-www-form-urlencoded`), compared by its pairs.
    #[staticmethod]
    fn form(data: &Bound<'_, PyBytes>) -> Self {
        Self::of(data, Format::Form)
    }

    /// A form of parts (`multipart/form-data`), compared without its boundary.
    #[staticmethod]
    fn multipart(data: &Bound<'_, PyBytes>, boundary: String) -> Self {
        Self::of(data, Format::Multipart(boundary))
    }

    /// The same without the values at these JSON pointers (RFC 6901).
    fn excluding(&self, pointers: Vec<String>) -> Self {
        let included = self.texts(|both| &both.1);
        Self {
            pointers: Some(Arc::new((Pointers::of(pointers), Pointers::of(included)))),
            ..self.clone()
        }
    }

    /// The values at these JSON pointers alone.
    fn including(&self, pointers: Vec<String>) -> Self {
        let excluded = self.texts(|both| &both.0);
        Self {
            pointers: Some(Arc::new((Pointers::of(excluded), Pointers::of(pointers)))),
            ..self.clone()
        }
    }

    fn __len__(&self) -> usize {
        self.bytes.len()
    }

    fn __repr__(&self) -> String {
        format!("Payload(<{} bytes>)", self.bytes.len())
    }
}

/// A payload, or bytes that are compared as they are.
pub(crate) struct AnyPayload(Payload);

impl<'py> FromPyObject<'_, 'py> for AnyPayload {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(payload) = value.cast::<Payload>() {
            return Ok(Self(payload.get().clone()));
        }
        Ok(Self(Payload::raw(&value.cast::<PyBytes>()?.to_owned())))
    }
}

/// What a request consists of.
pub(crate) struct Parts {
    scope: Scope,
    operation: String,
    /// None: the payload stands in for it.
    key: Option<Vec<u8>>,
    payload: Option<Payload>,
}

impl Parts {
    /// As the engine takes it.
    pub(crate) fn view(&self) -> Result<oncegate::Request<'_>, oncegate::Error> {
        let scope = self.scope.view()?;
        let payload = self.payload.as_ref().map_or(oncegate::Payload::none(), Payload::view);
        match &self.key {
            Some(key) => Ok(oncegate::Request::new(scope, &self.operation, key)?.payload(payload)),
            None => oncegate::Request::by_payload(scope, &self.operation, payload),
        }
    }
}

/// One logical request.
#[pyclass(frozen, module = "oncegate")]
pub(crate) struct Request {
    pub(crate) parts: Arc<Parts>,
}

#[pymethods]
impl Request {
    #[new]
    #[pyo3(signature = (operation, key, *, scope, payload = None))]
    fn new(
        operation: String,
        key: Option<Text>,
        scope: AnyScope,
        payload: Option<AnyPayload>,
    ) -> Given<Self> {
        let key = key.map(|key| key.0);
        let payload = payload.map(|payload| payload.0);
        let parts = Parts { scope: scope.0, operation, key, payload };
        parts.view()?;
        Ok(Self { parts: Arc::new(parts) })
    }

    #[getter]
    fn operation(&self) -> &str {
        &self.parts.operation
    }

    #[getter]
    fn scope(&self) -> Scope {
        self.parts.scope.clone()
    }

    fn __repr__(&self) -> String {
        // Without the key, and without the payload.
        format!("Request({:?}, scope={})", self.parts.operation, self.parts.scope.__repr__())
    }
}
