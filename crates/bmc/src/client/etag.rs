//! What is sent as `If-Match` (DSP0266, "ETags"; RFC 9110, 13.1.1), and what else is tried where a BMC refuses its own tags.
//!
//! In: a tag as the BMC gave it. Out: the forms, one after the other; `None` sends none. Sources: DMTF/Redfish-Tacklebox issue 22 and
//! community.general PR 6434 (AMI: only `*`), sushy's connector (weak tags that are wanted strong), community.general PR 3268 (tags in
//! two pairs of quotes). Actions never carry one: iDRAC refuses them (metal-operator issue 1015).

pub(super) fn forms(etag: Option<&str>) -> Vec<Option<String>> {
    let mut forms = Vec::new();
    let mut add = |form: Option<String>| {
        if !forms.contains(&form) {
            forms.push(form);
        }
    };
    // An empty tag is none.
    let Some(etag) = etag.map(str::trim).filter(|etag| !matches!(*etag, "" | "\"\"")) else {
        return vec![None, Some("*".to_owned())];
    };
    add(Some(etag.to_owned()));
    if let Some(inner) = etag.strip_prefix("\"\"").and_then(|rest| rest.strip_suffix("\"\"")) {
        add(Some(format!("\"{inner}\"")));
    }
    add(Some(match etag.strip_prefix("W/") {
        Some(strong) => strong.to_owned(),
        None => format!("W/{etag}"),
    }));
    add(Some("*".to_owned()));
    add(None);
    forms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_etag_is_sent_as_given_then_in_its_other_form_then_as_any_then_not_at_all() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(forms(Some("W/\"a\"")), [some("W/\"a\""), some("\"a\""), some("*"), None]);
        assert_eq!(forms(Some("\"a\"")), [some("\"a\""), some("W/\"a\""), some("*"), None]);
        assert_eq!(forms(Some("\"\"a\"\""))[1], some("\"a\""));
        assert_eq!(forms(Some("\"\"")), [None, some("*")]);
        assert_eq!(forms(None), [None, some("*")]);
    }
}
