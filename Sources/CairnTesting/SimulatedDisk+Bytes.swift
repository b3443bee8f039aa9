// Part of Cairn, a content-addressed blob store.

/// The bytes of a simulated file: only pages that were written take memory.
struct SparseBytes: Sendable {
    static let pageByteCount = 4096

    private(set) var byteCount: UInt64 = 0
    private var pages: [UInt64: [UInt8]] = [:]

    /// The length in whole pages.
    static func charge(_ byteCount: UInt64) -> UInt64 {
        let page = UInt64(pageByteCount)
        return (byteCount + page - 1) / page * page
    }

    mutating func write(_ bytes: ArraySlice<UInt8>, at offset: UInt64) {
        guard !bytes.isEmpty else { return }
        byteCount = max(byteCount, offset + UInt64(bytes.count))
        var rest = bytes
        var position = offset
        while !rest.isEmpty {
            let (page, start) = Self.place(position)
            let count = min(rest.count, Self.pageByteCount - start)
            var content = pages.removeValue(forKey: page) ?? Self.zeroPage
            content.replaceSubrange(start..<start + count, with: rest.prefix(count))
            pages[page] = content
            rest = rest.dropFirst(count)
            position += UInt64(count)
        }
    }

    func read(_ offset: UInt64, _ count: Int) -> [UInt8] {
        guard offset < byteCount else { return [] }
        let end = min(byteCount, offset + UInt64(count))
        var bytes: [UInt8] = []
        bytes.reserveCapacity(Int(end - offset))
        var position = offset
        while position < end {
            let (page, start) = Self.place(position)
            let part = start..<start + Int(min(end - position, UInt64(Self.pageByteCount - start)))
            bytes.append(contentsOf: (pages[page] ?? Self.zeroPage)[part])
            position += UInt64(part.count)
        }
        return bytes
    }

    /// Cuts, or lengthens with zeros.
    mutating func resize(to newByteCount: UInt64) {
        if newByteCount < byteCount {
            let (last, start) = Self.place(newByteCount)
            pages = pages.filter { $0.key <= last }
            if var content = pages[last] {
                for index in start..<Self.pageByteCount { content[index] = 0 }
                pages[last] = content
            }
        }
        byteCount = newByteCount
    }

    private static let zeroPage = [UInt8](repeating: 0, count: pageByteCount)

    private static func place(_ offset: UInt64) -> (page: UInt64, start: Int) {
        let (page, start) = offset.quotientAndRemainder(dividingBy: UInt64(pageByteCount))
        return (page, Int(start))
    }
}
