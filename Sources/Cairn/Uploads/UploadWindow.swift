// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import Synchronization

/// Room for the next bytes of an upload, filled by the session and read by one stage at a time.
///
/// A reference, so that the memory goes round instead of being copied or given back: fresh pages
/// would cost more than the digest.
final class UploadWindow: Sendable {
    /// Free bytes in front, for the tail of the window before.
    let headroom: Int
    private let byteCountMax: Int
    private let bytes: Mutex<[UInt8]>

    /// - Parameter headroom: 0 for the first window of a session, which follows no other: most
    ///   blobs end in it, and whoever stores ten thousand at once pays for each page touched.
    init(headroom: Int, byteCount: Int) {
        self.headroom = headroom
        self.byteCountMax = headroom + byteCount
        var bytes: [UInt8] = []
        bytes.reserveCapacity(headroom + byteCount)
        bytes.append(contentsOf: repeatElement(0, count: headroom))
        self.bytes = Mutex(bytes)
    }

    func withBytes<R, E: Error>(_ body: (inout [UInt8]) throws(E) -> R) throws(E) -> R {
        try bytes.withLock { (bytes) throws(E) in try body(&bytes) }
    }

    /// The bytes behind the headroom.
    var byteCount: Int { bytes.withLock { $0.count } - headroom }
    var isFull: Bool { byteCount == byteCountMax - headroom }

    /// Copies as much of `source` as there is room for; returns how much that was.
    func fill(from source: Span<UInt8>) -> Int {
        bytes.withLock { bytes in
            let count = min(source.count, byteCountMax - bytes.count)
            bytes.append(contentsOf: source.extracting(..<count))
            return count
        }
    }

    /// The bytes behind the headroom, copied.
    var contents: [UInt8] {
        bytes.withLock { [UInt8](copying: $0.span.extracting(headroom...)) }
    }

    func reset() {
        bytes.withLock { $0.removeSubrange(headroom...) }
    }
}
