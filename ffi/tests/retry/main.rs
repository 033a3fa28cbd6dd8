//! Retry policies, budgets, steps, dead letters and layouts, through the exports of the header.

#[macro_use]
mod support;

mod adaptive;
mod budgets;
mod downstream;
mod effects;
mod judging;
mod layouts;
mod letters;
mod policies;
mod steps;
