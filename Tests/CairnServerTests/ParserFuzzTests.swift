// Part of Cairn, a content-addressed blob store.
import CairnCore
import CairnRegistry
import CairnTestSupport
import Testing

@testable import CairnServer

/// What clients send is hostile: parsing ends in a value or an error, and a value that is written
/// and parsed again is the same.
@Suite struct ParserFuzzTests {
    private static let config = #"{"mediaType":"a/b","digest":"sha256:\#(zeros)","size":7}"#
    private static let zeros = String(repeating: "0", count: 64)
    private static let manifest = ManifestKit.image(
        config: config, layers: [config, config],
        extra: #","annotations":{"a":"\u00e4\n","b":"c"},"subject":\#(config),"x":[-1.5e3,null]"#)

    /// Bytes that mean something to one of the parsers.
    private static let tokens: [[UInt8]] =
        [
            "{", "}", "[", "]", "\"", "\\", "\\u", "\\ud800", "\\udc00", ",", ":", "0", "-", "1e9",
            "null", "true", "/", "..", "%", "%2f", "%00", "sha256:", "=", "&", "\u{0}", "\u{7f}",
            "é",
        ].map { Array($0.utf8) } + [[0xC0], [0xFF], [0xED, 0xA0, 0x80], [0xF4, 0x90]]

    private static func mutate(
        _ bytes: [UInt8], _ generator: inout SeededGenerator
    ) -> [UInt8] {
        var mutant = bytes
        for _ in 0..<Int.random(in: 1...4, using: &generator) {
            let start = Int.random(in: 0...mutant.count, using: &generator)
            let end = min(mutant.count, start + Int.random(in: 0...8, using: &generator))
            let token = tokens.randomElement(using: &generator) ?? []
            mutant.replaceSubrange(start..<end, with: Bool.random(using: &generator) ? token : [])
        }
        return mutant
    }

    @Test(arguments: [UInt64(1), 2, 3, 4])
    func `JSON that is accepted reads the same again`(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        var accepted = 0
        for _ in 0..<4000 {
            let mutant = Self.mutate(Self.manifest, &generator)
            do throws(JSONParser.Failure) {
                let value = try JSONParser.parse(mutant)
                accepted += 1
                let again = try JSONParser.parse(value.encoded)
                #expect(again == value)
            } catch {
                #expect(error.offset <= mutant.count)
            }
        }
        #expect(accepted > 40)
    }

    @Test(arguments: [UInt64(5), 6])
    func `a manifest is taken or refused as invalid`(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<4000 {
            let mutant = Self.mutate(Self.manifest, &generator)
            do throws(RegistryError) {
                let document = try ManifestDocument(mutant, contentType: nil)
                #expect(document.blobs.allSatisfy { $0.byteCount <= UInt64(Int64.max) })
            } catch {
                #expect(error.code == .manifestInvalid)
            }
        }
    }

    @Test(arguments: [UInt64(7), 8])
    func `names, tags and digests that are taken are written as they were`(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        for sample in ["library/alpine", "v1.2_3-x", "sha256:" + Self.zeros] {
            for _ in 0..<4000 {
                let mutant = Self.mutate(Array(sample.utf8), &generator)
                let text = String(decoding: mutant, as: UTF8.self)
                if let name = try? RepositoryName(text) { #expect(name.description == text) }
                if let tag = try? Tag(text) { #expect(tag.description == text) }
                if let digest = try? Digest(text) { #expect(digest.description == text) }
            }
        }
    }

    @Test(arguments: [UInt64(9), 10])
    func `a target or range means something or nothing, and never harm`(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let samples = [
            "/v2/library/alpine/blobs/uploads/x", "/v2/a%2fb/manifests/sha256:\(Self.zeros)",
            "/v2/_catalog", "bytes=0-9", "bytes=-5", "0-1048575", "n=5&last=a%20b",
        ]
        for round in 0..<8000 {
            let mutant = Self.mutate(Array(samples[round % samples.count].utf8), &generator)
            let text = String(decoding: mutant, as: UTF8.self)
            _ = RequestTarget(path: text)
            _ = Query(text)
            _ = ChunkRange(text)
            if case .part(let range) = RangeField(text, byteCount: 10) {
                #expect(range.upperBound <= 10)
                #expect(!range.isEmpty)
            }
            if let decoded = PercentCoding.decode(text) {
                #expect(PercentCoding.decode(PercentCoding.encode(decoded)) == decoded)
            }
        }
    }
}
