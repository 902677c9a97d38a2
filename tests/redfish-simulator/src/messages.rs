//! Error bodies as DSP0266 section 8.6 has them, with messages of the Base registry (DSP8011).
//!
//! Input: what is wrong; output: JSON with `error.code`, `error.message` and `@Message.ExtendedInfo`. Invariant: the text of a message is the
//! registry's, with the arguments filled in.

use serde_json::{Value, json};

pub(crate) const BASE: &str = "Base.1.18";

/// One message, with the property it is about.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Message {
    /// With registry and version: `Base.1.18.PropertyUnknown`.
    id: String,
    text: String,
    args: Box<[String]>,
    severity: &'static str,
    resolution: &'static str,
    pub(crate) property: Option<String>,
}

impl Message {
    fn base(key: &str, text: &str, args: &[&str], severity: &'static str, resolution: &'static str) -> Message {
        let mut filled = text.to_string();
        for (index, arg) in args.iter().enumerate() {
            filled = filled.replace(&format!("%{}", index + 1), arg);
        }
        Message {
            id: format!("{BASE}.{key}"),
            text: filled,
            args: args.iter().map(|arg| arg.to_string()).collect(),
            severity,
            resolution,
            property: None,
        }
    }

    /// A message of a vendor's registry.
    pub(crate) fn of(id: &str, text: &str, args: &[&str], resolution: &'static str) -> Message {
        Message { id: id.into(), ..Message::base("", text, args, "Critical", resolution) }
    }

    fn about(mut self, property: &str) -> Message {
        self.property = Some(property.into());
        self
    }

    pub(crate) fn general() -> Message {
        Message::base(
            "GeneralError",
            "A general error has occurred.  See Resolution for information on how to resolve the error, or @Message.ExtendedInfo if Resolution is not provided.",
            &[],
            "Critical",
            "None.",
        )
    }

    pub(crate) fn success() -> Message {
        Message::base("Success", "The request completed successfully.", &[], "OK", "None.")
    }

    pub(crate) fn unknown(property: &str) -> Message {
        Message::base(
            "PropertyUnknown",
            "The property %1 is not in the list of valid properties for the resource.",
            &[property],
            "Warning",
            "Remove the unknown property from the request body and resubmit the request if the operation failed.",
        )
        .about(property)
    }

    pub(crate) fn not_writable(property: &str) -> Message {
        Message::base(
            "PropertyNotWritable",
            "The property %1 is a read-only property and cannot be assigned a value.",
            &[property],
            "Warning",
            "Remove the property from the request body and resubmit the request if the operation failed.",
        )
        .about(property)
    }

    pub(crate) fn not_in_list(value: &str, property: &str) -> Message {
        Message::base(
            "PropertyValueNotInList",
            "The value '%1' for the property %2 is not in the list of acceptable values.",
            &[value, property],
            "Warning",
            "Choose a value from the enumeration list that the implementation can support and resubmit the request if the operation failed.",
        )
        .about(property)
    }

    pub(crate) fn value_type(value: &str, property: &str) -> Message {
        Message::base(
            "PropertyValueTypeError",
            "The value '%1' for the property %2 is not a type that the property can accept.",
            &[value, property],
            "Warning",
            "Correct the value for the property in the request body and resubmit the request if the operation failed.",
        )
        .about(property)
    }

    pub(crate) fn format(value: &str, property: &str) -> Message {
        Message::base(
            "PropertyValueFormatError",
            "The value '%1' for the property %2 is not a format that the property can accept.",
            &[value, property],
            "Warning",
            "Correct the value for the property in the request body and resubmit the request if the operation failed.",
        )
        .about(property)
    }

    pub(crate) fn out_of_range(value: &str, property: &str) -> Message {
        Message::base(
            "PropertyValueOutOfRange",
            "The value '%1' for the property %2 is not in the supported range of acceptable values.",
            &[value, property],
            "Warning",
            "Correct the value for the property in the request body and resubmit the request if the operation failed.",
        )
        .about(property)
    }

    pub(crate) fn missing(property: &str) -> Message {
        Message::base(
            "PropertyMissing",
            "The property %1 is a required property and must be included in the request.",
            &[property],
            "Warning",
            "Ensure that the property is in the request body and has a valid value and resubmit the request if the operation failed.",
        )
        .about(property)
    }

    pub(crate) fn parameter_missing(action: &str, parameter: &str) -> Message {
        Message::base(
            "ActionParameterMissing",
            "The action %1 requires the parameter %2 to be present in the request body.",
            &[action, parameter],
            "Critical",
            "Supply the action with the required parameter in the request body when the request is resubmitted.",
        )
    }

    pub(crate) fn parameter_unknown(action: &str, parameter: &str) -> Message {
        Message::base(
            "ActionParameterUnknown",
            "The action %1 was submitted with the invalid parameter %2.",
            &[action, parameter],
            "Warning",
            "Correct the invalid parameter and resubmit the request if the operation failed.",
        )
    }

    pub(crate) fn parameter_not_in_list(value: &str, parameter: &str, action: &str) -> Message {
        Message::base(
            "ActionParameterValueNotInList",
            "The value '%1' for the parameter %2 in the action %3 is not in the list of acceptable values.",
            &[value, parameter, action],
            "Warning",
            "Choose a value from the enumeration list that the implementation can support and resubmit the request if the operation failed.",
        )
    }

    pub(crate) fn parameter_format(value: &str, parameter: &str, action: &str) -> Message {
        Message::base(
            "ActionParameterValueFormatError",
            "The value '%1' for the parameter %2 in the action %3 is not a format that the parameter can accept.",
            &[value, parameter, action],
            "Warning",
            "Correct the value for the parameter in the request body and resubmit the request if the operation failed.",
        )
    }

    pub(crate) fn malformed() -> Message {
        Message::base(
            "MalformedJSON",
            "The request body submitted was malformed JSON and could not be parsed by the receiving service.",
            &[],
            "Critical",
            "Ensure that the request body is valid JSON and resubmit the request.",
        )
    }

    pub(crate) fn not_found(uri: &str) -> Message {
        Message::base(
            "ResourceMissingAtURI",
            "The resource at the URI '%1' was not found.",
            &[uri],
            "Critical",
            "Place a valid resource at the URI or correct the URI and resubmit the request.",
        )
    }

    pub(crate) fn not_allowed() -> Message {
        Message::base(
            "OperationNotAllowed",
            "The HTTP method is not allowed on this resource.",
            &[],
            "Critical",
            "None.",
        )
    }

    pub(crate) fn not_implemented() -> Message {
        Message::base(
            "ActionNotSupported",
            "The action %1 is not supported by the resource.",
            &["of this request"],
            "Critical",
            "None.",
        )
    }

    pub(crate) fn unauthorized(uri: &str) -> Message {
        Message::base(
            "ResourceAtUriUnauthorized",
            "While accessing the resource at '%1', the service received an authorization error '%2'.",
            &[uri, "unauthorized"],
            "Critical",
            "Ensure that the appropriate access is provided for the service in order for it to access the URI.",
        )
    }

    pub(crate) fn privilege() -> Message {
        Message::base(
            "InsufficientPrivilege",
            "There are insufficient privileges for the account or credentials associated with the current session to perform the requested operation.",
            &[],
            "Critical",
            "Either abandon the operation or change the associated access rights and resubmit the request if the operation failed.",
        )
    }

    pub(crate) fn password_change(account: &str) -> Message {
        Message::base(
            "PasswordChangeRequired",
            "The password provided for this account must be changed before access is granted.  PATCH the Password property for this account located at the target URI '%1' to complete this process.",
            &[account],
            "Critical",
            "Change the password for this account using a PATCH to the Password property at the URI provided.",
        )
    }

    pub(crate) fn session_limit() -> Message {
        Message::base(
            "SessionLimitExceeded",
            "The session establishment failed due to the number of simultaneous sessions exceeding the limit of the implementation.",
            &[],
            "Critical",
            "Reduce the number of other sessions before trying to establish the session or increase the limit of simultaneous sessions, if supported.",
        )
    }

    pub(crate) fn precondition() -> Message {
        Message::base(
            "PreconditionFailed",
            "The ETag supplied did not match the ETag required to change this resource.",
            &[],
            "Critical",
            "Try the operation again using the appropriate ETag.",
        )
    }

    pub(crate) fn precondition_required() -> Message {
        Message::base(
            "PreconditionRequired",
            "A precondition header or annotation is required to change this resource.",
            &[],
            "Critical",
            "Try the operation again using an If-Match or If-None-Match header and appropriate ETag.",
        )
    }

    pub(crate) fn no_operation() -> Message {
        Message::base(
            "NoOperation",
            "The request body submitted contain no data to act upon and no changes to the resource took place.",
            &[],
            "Warning",
            "Add properties in the JSON object and resubmit the request.",
        )
    }

    pub(crate) fn unavailable(seconds: u64) -> Message {
        Message::base(
            "ServiceTemporarilyUnavailable",
            "The service is temporarily unavailable.  Retry in %1 seconds.",
            &[&seconds.to_string()],
            "Critical",
            "Wait for the indicated retry duration and retry the operation.",
        )
    }

    pub(crate) fn query_unsupported(parameter: &str) -> Message {
        Message::base(
            "QueryParameterUnsupported",
            "Query parameter '%1' is not supported.",
            &[parameter],
            "Warning",
            "Correct or remove the query parameter and resubmit the request.",
        )
    }

    pub(crate) fn exists(kind: &str, property: &str, value: &str) -> Message {
        Message::base(
            "ResourceAlreadyExists",
            "The requested resource of type %1 with the property %2 with the value '%3' already exists.",
            &[kind, property, value],
            "Critical",
            "Do not repeat the create operation as the resource has already been created.",
        )
    }

    pub(crate) fn media_type() -> Message {
        Message::base(
            "UnrecognizedRequestBody",
            "The service detected a malformed request body that it was unable to interpret.",
            &[],
            "Warning",
            "Correct the request body and resubmit the request if it failed.",
        )
    }

    pub(crate) fn header(header: &str) -> Message {
        Message::base(
            "HeaderInvalid",
            "Header '%1' is invalid.",
            &[header],
            "Critical",
            "Resubmit the request with a valid request header.",
        )
    }

    pub(crate) fn in_use() -> Message {
        Message::base(
            "ResourceInUse",
            "The change to the requested resource failed because the resource is in use or in transition.",
            &[],
            "Warning",
            "Remove the condition and resubmit the request if the operation failed.",
        )
    }

    /// As an element of `@Message.ExtendedInfo`.
    pub(crate) fn extended(&self) -> Value {
        let mut info = json!({
            "@odata.type": "#Message.v1_2_0.Message",
            "MessageId": self.id,
            "Message": self.text,
            "MessageArgs": self.args,
            "MessageSeverity": self.severity,
            "Severity": self.severity,
            "Resolution": self.resolution,
        });
        if let Some(property) = &self.property {
            info["RelatedProperties"] = json!([format!("/{property}")]);
        }
        info
    }
}

/// A whole error body.
pub(crate) fn error(messages: &[Message]) -> Value {
    let (code, text) = match messages {
        [only] => (only.id.clone(), only.text.clone()),
        _ => (Message::general().id, Message::general().text),
    };
    json!({"error": {
        "code": code,
        "message": text,
        "@Message.ExtendedInfo": messages.iter().map(Message::extended).collect::<Vec<_>>(),
    }})
}

/// `@Message.ExtendedInfo` in a resource, for a PATCH of which a part was refused.
pub(crate) fn annotate(resource: &mut Value, messages: &[Message]) {
    if !messages.is_empty() {
        resource["@Message.ExtendedInfo"] = messages.iter().map(Message::extended).collect();
    }
}

/// An error as old firmware has it: `Message` with a capital, one object instead of a list.
pub(crate) fn old_shape(body: &mut Value) {
    let Some(error) = body.get_mut("error").and_then(Value::as_object_mut) else { return };
    if let Some(text) = error.remove("message") {
        error.insert("Message".into(), text);
    }
    if let Some(first) = error.get("@Message.ExtendedInfo").and_then(|list| list.get(0)).cloned() {
        error.insert("@Message.ExtendedInfo".into(), first);
    }
}
