// Part of Cairn, a content-addressed blob store.

/// H of a chunk: its digest behind a secret prefix, the capability to read it.
///
/// Stands in sealed recipes only. As secret as the chunk itself: no description. A plain value,
/// safe to share between threads.
package struct ChunkHash: Hashable, Sendable {
    /// The digest.
    package let octets: Octets32

    /// Wraps a digest from a recipe.
    package init(_ octets: Octets32) { self.octets = octets }
}

/// The name of a chunk within its deduplication domain.
///
/// It says nothing to whoever lacks the domain's secret, so it may stand in the clear. A plain
/// value, safe to share between threads.
package struct ChunkID: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// The name's bytes.
    package let octets: Octets32

    /// Wraps a name from an index or a record.
    package init(_ octets: Octets32) { self.octets = octets }

    /// The name in hexadecimal digits.
    package var description: String { octets.span.hex }

    /// Whether the left name comes first in lexicographic order.
    package static func < (lhs: Self, rhs: Self) -> Bool { lhs.octets < rhs.octets }
}
