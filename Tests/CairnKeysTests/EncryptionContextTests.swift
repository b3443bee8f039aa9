// Part of Cairn, a content-addressed blob store.
import CairnKeys
import CairnTestSupport
import Testing

@Suite struct EncryptionContextTests {
    @Test func `the encoding is the documented one`() throws {
        let context = try EncryptionContext(["c": "", "a": "bc"])
        #expect(context.encoded == [1, 2, 0, 1, 0, 0x61, 2, 0, 0x62, 0x63, 1, 0, 0x63, 0, 0])
        #expect(EncryptionContext().encoded == [1, 0, 0])
        #expect(try EncryptionContext([:]) == EncryptionContext())
    }

    @Test func `pairs are ordered by the bytes of their keys`() throws {
        // Unicode collation and UTF-16 would both order these otherwise.
        let keys = ["Z", "a", "\u{e9}", "\u{ffff}", "\u{10000}"]
        let context = try EncryptionContext(
            Dictionary(uniqueKeysWithValues: keys.shuffled().map { ($0, "") }))
        #expect(context.pairs.map(\.key) == keys)
    }

    @Test(
        arguments: [
            (["a": "b", "c": ""], ["a": "bc", "": ""].filter { !$0.key.isEmpty }),
            (["a": "b", "c": ""], ["a": "b"]),
            (["a": "b", "c": ""], ["a": "", "c": "b"]),
            (["a": "b", "c": ""], ["ab": "", "c": ""]),
            (["a": "b", "c": ""], ["a": "b\u{1}\u{0}c\u{0}\u{0}"]),
            (["a": "b,c:"], ["a": "b", "c": ""]),
            (["a": "b"], ["A": "b"]),
            (["a": "\u{e9}"], ["a": "e\u{301}"]),
            (["\u{e9}": "a"], ["e\u{301}": "a"]),
            (["a": "\u{0}"], ["a": ""]),
        ])
    func `two different contexts have two encodings`(
        _ left: [String: String], _ right: [String: String]
    ) throws {
        let left = try EncryptionContext(left)
        let right = try EncryptionContext(right)
        #expect(left.encoded != right.encoded)
        #expect(left != right)
    }

    @Test(arguments: [UInt64(1), 2, 3])
    func `the encoding of random contexts is injective`(_ seed: UInt64) throws {
        let random = SeededRandom(seed: seed)
        // Few letters, so that collisions are as likely as can be.
        let letters = ["", "a", "b", "\u{0}", "\u{1}", "\u{2}", "ab", "e\u{301}"]
        func text() -> String {
            (0..<random.number(below: 4)).map { _ in letters[random.number(below: letters.count)] }
                .joined()
        }
        var seen: [[UInt8]: [[UInt8]]] = [:]
        for _ in 0..<4000 {
            var pairs: [String: String] = [:]
            for _ in 0..<random.number(below: 4) {
                pairs["k" + text()] = text()
            }
            let context = try EncryptionContext(pairs)
            // An account of the pairs that shares nothing with the encoding.
            let account = pairs.map { Array($0.key.utf8) + [0xff] + Array($0.value.utf8) }
                .sorted { $0.lexicographicallyPrecedes($1) }
            #expect(seen.updateValue(account, forKey: context.encoded) ?? account == account)
            #expect(try EncryptionContext(decoding: context.encoded) == context)
        }
    }

    @Test func `only the canonical encoding is decoded`() throws {
        let good = try EncryptionContext(["a": "b", "c": "d"]).encoded
        for count in good.indices {
            #expect(throws: KeyError.with(.invalidArgument), "cut to \(count) bytes") {
                try EncryptionContext(decoding: Array(good.prefix(count)))
            }
        }
        let bad: [[UInt8]] = [
            good + [0],
            [2] + good.dropFirst(),
            // Descending, equal, empty and not UTF-8.
            [1, 2, 0, 1, 0, 0x63, 0, 0, 1, 0, 0x61, 0, 0],
            [1, 2, 0, 1, 0, 0x61, 0, 0, 1, 0, 0x61, 0, 0],
            [1, 1, 0, 0, 0, 0, 0],
            [1, 1, 0, 1, 0, 0xff, 0, 0],
            [1, 0xff, 0xff],
        ]
        for bytes in bad {
            #expect(throws: KeyError.with(.invalidArgument)) {
                try EncryptionContext(decoding: bytes)
            }
        }
    }

    @Test func `damaged encodings never decode to something that encodes otherwise`() throws {
        let random = SeededRandom(seed: 7)
        let good = try EncryptionContext(["store": "5a", "bucket": "b", "purpose": ""]).encoded
        for _ in 0..<20_000 {
            var bytes = good
            for _ in 0...random.number(below: 3) {
                bytes[random.number(below: bytes.count)] = UInt8(random.number(below: 256))
            }
            guard let context = try? EncryptionContext(decoding: bytes) else { continue }
            var pairs: [String: String] = [:]
            for pair in context.pairs {
                pairs[pair.key] = pair.value
            }
            // Keys that Unicode calls equal cannot stand in one dictionary.
            guard pairs.count == context.pairs.count else { continue }
            #expect(try EncryptionContext(pairs).encoded == bytes)
        }
    }

    @Test func `each limit is stated and kept`() throws {
        let pairs = Dictionary(
            uniqueKeysWithValues: (0..<EncryptionContext.pairCountMax).map { ("\($0)", "") })
        _ = try EncryptionContext(pairs)
        #expect(throws: KeyError.with(.limitExceeded)) {
            try EncryptionContext(pairs.merging(["more": ""]) { $1 })
        }
        let key = String(repeating: "k", count: EncryptionContext.keyByteCountMax)
        let value = String(repeating: "v", count: EncryptionContext.valueByteCountMax)
        _ = try EncryptionContext([key: value])
        #expect(throws: KeyError.with(.limitExceeded)) { try EncryptionContext([key + "k": ""]) }
        #expect(throws: KeyError.with(.limitExceeded)) { try EncryptionContext(["k": value + "v"]) }
        #expect(throws: KeyError.with(.invalidArgument)) { try EncryptionContext(["": "v"]) }
        let long = Dictionary(uniqueKeysWithValues: (0..<4).map { ("\($0)", value) })
        #expect(throws: KeyError.with(.limitExceeded)) { try EncryptionContext(long) }
    }

    @Test func `a description cannot forge a second log line`() throws {
        let context = try EncryptionContext(["a\n": "\"\r\n{}"])
        #expect(!context.description.utf8.contains { $0 < 0x20 })
    }
}
