// Part of Cairn, a content-addressed blob store.

import Cairn

/// Blobs of words: cut by content into chunks of 16 KiB on average, and cheap to make and to keep.
struct Filler {
    /// So long are the phrases of which a text is made.
    private static let phraseByteCount = 64
    private let phrases: [UInt8]
    private var state: UInt64

    init(seed: UInt64) {
        state = seed
        var generator: UInt64 = 42
        phrases = (0..<4096 * Self.phraseByteCount).map { _ in
            UInt8(truncatingIfNeeded: Self.next(&generator) % 26) + UInt8(ascii: "a")
        }
    }

    mutating func bytes(_ byteCount: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(byteCount + Self.phraseByteCount)
        while bytes.count < byteCount {
            let phrase = Int(Self.next(&state) % 4096) * Self.phraseByteCount
            bytes.append(contentsOf: phrases[phrase..<phrase + Self.phraseByteCount])
        }
        return bytes
    }

    /// Stores blobs of 8 MiB until a store has so many chunks.
    mutating func fill(_ store: Store, _ bucket: Bucket, chunkCount: UInt64) async throws {
        while try await store.statistics().chunkCount < chunkCount {
            // The two at a time: digests of one run beside the making of the other.
            for _ in 0..<4 {
                let (first, second) = (bytes(8 << 20), bytes(8 << 20))
                async let one = bucket.putBlob(first.span)
                async let two = bucket.putBlob(second.span)
                _ = try await (one, two)
            }
        }
    }

    // SplitMix64.
    private static func next(_ state: inout UInt64) -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var bits = state
        bits = (bits ^ (bits >> 30)) &* 0xBF58_476D_1CE4_E5B9
        bits = (bits ^ (bits >> 27)) &* 0x94D0_49BB_1331_11EB
        return bits ^ (bits >> 31)
    }
}
