// Part of Cairn, a content-addressed blob store.

/// How a blob is cut into chunks, decided once from its first bytes.
package enum BlobLayout: UInt8, Sendable, CaseIterable {
    // On disk: never renumber.

    /// Compressed or encrypted: cut at a fixed size, not scanned, not compressed.
    ///
    /// Such streams hold no duplicates below the whole blob (ratio 1.00 to 1.03 on image layers at
    /// any chunk size), so looking for them would cost time and index entries for nothing.
    case opaque = 1

    /// A tar archive: cut between headers and files, then by content.
    case tar = 2

    /// Anything else: cut by content.
    case other = 3
}
