//! The layout: which panes stand where at a size. Knows no contents.

use ratatui::layout::Rect;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Pane {
    Workers,
    Pending,
    Tasks,
    Stats,
    Events,
}

impl Pane {
    pub(super) const ALL: [Self; 5] = [Self::Workers, Self::Pending, Self::Tasks, Self::Stats, Self::Events];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Workers => "Workers",
            Self::Pending => "Pending",
            Self::Tasks => "Tasks",
            Self::Stats => "Stats",
            Self::Events => "Events",
        }
    }

    /// The key that goes there, 1 to 5.
    pub(super) fn number(self) -> usize {
        Self::ALL.iter().position(|pane| *pane == self).map_or(0, |index| index + 1)
    }

    pub(super) fn next(self) -> Self {
        Self::ALL[self.number() % 5]
    }

    pub(super) fn previous(self) -> Self {
        Self::ALL[(self.number() + 3) % 5]
    }

    /// Whether its first line names columns.
    fn has_column_heads(self) -> bool {
        matches!(self, Self::Workers | Self::Pending | Self::Tasks)
    }

    /// How many rows of its list fit into the pane at `area`.
    pub(super) fn rows(self, area: Rect) -> usize {
        area.height.saturating_sub(2 + u16::from(self.has_column_heads())).into()
    }
}

/// How much there is room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// One line that says it all.
    Line,
    /// One pane.
    One,
    /// One pane, the names of all, and the last events below where there is room.
    Tabs,
    /// All five.
    Wide,
}

/// Where everything stands; empty rectangles are not drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) shape: Shape,
    pub(super) header: Rect,
    pub(super) tabs: Rect,
    panes: [Rect; 5],
    pub(super) status: Rect,
    pub(super) footer: Rect,
    /// Between header and status.
    pub(super) body: Rect,
}

impl Layout {
    pub(super) fn pane(&self, pane: Pane) -> Rect {
        self.panes[pane.number() - 1]
    }
}

/// Lays `area` out with `focus` having the keys, alone if `is_zoomed`.
pub(super) fn layout(area: Rect, focus: Pane, is_zoomed: bool) -> Layout {
    let (width, height) = (area.width, area.height);
    let shape = match () {
        () if width < 20 || height < 5 => Shape::Line,
        () if width < 60 || height < 15 => Shape::One,
        () if width < 110 || height < 30 => Shape::Tabs,
        () => Shape::Wide,
    };
    let (header, tabs, status, footer) = match shape {
        Shape::Line => (height.min(1), 0, 0, 0),
        Shape::One => (1, 0, 0, 1),
        Shape::Tabs => (1, 1, 1, 1),
        Shape::Wide => (2, 0, 1, 1),
    };
    let mut top = Slices { rest: area };
    let header = top.take(header);
    let tabs = top.take(tabs);
    let body = top.take(top.rest.height.saturating_sub(status + footer));
    let status = top.take(status);
    let footer = top.take(footer);

    let mut panes = [Rect::ZERO; 5];
    let mut place = |pane: Pane, rect: Rect| panes[pane.number() - 1] = rect;
    match shape {
        Shape::Line => {}
        Shape::Wide if !is_zoomed => {
            let mut rows = Slices { rest: body };
            let upper = rows.take((body.height / 4).clamp(6, 14));
            let lower_height = (body.height * 8 / 32).clamp(6, 16);
            let middle = rows.take(rows.rest.height - lower_height);
            let (workers, pending) = split(upper, body.width * 62 / 100);
            let (left, right) = split(middle, body.width - (body.width * 30 / 100).min(46));
            place(Pane::Workers, workers);
            place(Pane::Pending, pending);
            place(Pane::Tasks, left);
            place(Pane::Stats, right);
            place(Pane::Events, rows.rest);
        }
        Shape::Tabs if !is_zoomed && focus != Pane::Events && body.height >= 16 => {
            let mut rows = Slices { rest: body };
            place(focus, rows.take(body.height - 5));
            place(Pane::Events, rows.rest);
        }
        Shape::One | Shape::Tabs | Shape::Wide => place(focus, body),
    }
    Layout { shape, header, tabs, panes, status, footer, body }
}

/// Takes slices off the top.
struct Slices {
    rest: Rect,
}

impl Slices {
    fn take(&mut self, height: u16) -> Rect {
        let height = height.min(self.rest.height);
        let slice = Rect { height, ..self.rest };
        self.rest.y += height;
        self.rest.height -= height;
        slice
    }
}

fn split(area: Rect, left: u16) -> (Rect, Rect) {
    let left = left.min(area.width);
    (Rect { width: left, ..area }, Rect { x: area.x + left, width: area.width - left, ..area })
}

/// The middle of `area`, at most this large.
pub(super) fn centered(area: Rect, width: u16, height: u16) -> Rect {
    let (width, height) = (width.min(area.width), height.min(area.height));
    Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 2, width, height }
}

/// The first row of a window of `height` rows over `total`, so that row `selected` stands `above` rows below
/// the window's top where that is possible.
pub(super) fn window_top(total: usize, selected: usize, above: usize, height: usize) -> usize {
    let above = above.min(height.saturating_sub(1));
    selected.saturating_sub(above).min(total.saturating_sub(height))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use ratatui::layout::Rect;

    use super::{Pane, Shape, layout, window_top};

    #[test]
    fn the_size_chooses_the_shape() {
        let cases = [
            ((0, 0), Shape::Line),
            ((19, 50), Shape::Line),
            ((80, 4), Shape::Line),
            ((40, 12), Shape::One),
            ((59, 40), Shape::One),
            ((80, 24), Shape::Tabs),
            ((120, 36), Shape::Wide),
        ];
        for ((width, height), shape) in cases {
            assert_eq!(layout(Rect::new(0, 0, width, height), Pane::Tasks, false).shape, shape);
        }
    }

    proptest! {
        #[test]
        fn everything_stays_inside_and_nothing_overlaps(
            width in 0_u16..300, height in 0_u16..100, pane in 0_usize..5, is_zoomed: bool,
        ) {
            let area = Rect::new(0, 0, width, height);
            let layout = layout(area, Pane::ALL[pane], is_zoomed);
            let mut rects = vec![layout.header, layout.tabs, layout.status, layout.footer];
            rects.extend(Pane::ALL.map(|pane| layout.pane(pane)));
            rects.retain(|rect| !rect.is_empty());
            for (index, rect) in rects.iter().enumerate() {
                prop_assert_eq!(rect.intersection(area), *rect);
                for other in &rects[index + 1..] {
                    prop_assert!(rect.intersection(*other).is_empty(), "{:?} {:?}", rect, other);
                }
            }
        }

        #[test]
        fn the_selected_row_is_in_the_window(total in 1_usize..500, selected: usize, above in 0_usize..99, height in 1_usize..60) {
            let selected = selected % total;
            let top = window_top(total, selected, above, height);
            prop_assert!(top <= selected && selected < top + height);
        }
    }
}
