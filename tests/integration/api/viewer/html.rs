//! Pages, read as a browser reads them.

use std::sync::Arc;

use axum::Router;
use html5ever::tendril::TendrilSink as _;
use html5ever::{ParseOpts, parse_document};
use markup5ever_rcdom::{Handle, NodeData, RcDom};
use tower_audit::store::AuditStore;
use tower_audit::viewer::AuditViewer;

use crate::api::support::{Answer, TestGate};

pub(super) fn viewer(store: impl AuditStore) -> Router {
    viewer_over(Arc::new(store))
}

pub(super) fn viewer_over(store: Arc<dyn AuditStore>) -> Router {
    AuditViewer::from_store(store, TestGate).router("/ui")
}

/// An element.
#[derive(Debug, Clone)]
pub(super) struct Element {
    pub(super) tag: String,
    pub(super) attributes: Vec<(String, String)>,
    pub(super) text: String,
}

impl Element {
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn is_of_class(&self, class: &str) -> bool {
        self.attribute("class").is_some_and(|classes| classes.split(' ').any(|known| known == class))
    }
}

/// Every element of a page, in its order. A browser had nothing to repair in it.
#[track_caller]
pub(super) fn elements(answer: &Answer) -> Vec<Element> {
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"), "{answer:?}");
    let dom = parse_document(RcDom::default(), ParseOpts::default()).one(answer.text());
    let errors = dom.errors.borrow();
    assert!(errors.is_empty(), "{errors:?} in {}", answer.text());
    let mut found = Vec::new();
    collect(&dom.document, &mut found);
    found
}

fn collect(node: &Handle, found: &mut Vec<Element>) {
    if let NodeData::Element { name, attrs, .. } = &node.data {
        let attributes = attrs.borrow().iter().map(|it| (it.name.local.to_string(), it.value.to_string())).collect();
        found.push(Element { tag: name.local.to_string(), attributes, text: text_of(node) });
    }
    node.children.borrow().iter().for_each(|child| collect(child, found));
}

fn text_of(node: &Handle) -> String {
    if let NodeData::Text { contents } = &node.data {
        return contents.borrow().to_string();
    }
    node.children.borrow().iter().map(text_of).collect()
}
