// Part of Cairn, a content-addressed blob store.
import CairnCore
import Testing

/// A manifest that must be refused, and why.
struct BadManifest: Sendable, CustomTestStringConvertible {
    let why: String
    var contentType = ManifestKit.manifestType
    let bytes: @Sendable (_ config: String, _ layer: String) -> [UInt8]

    var testDescription: String { why }

    private init(
        _ why: String, type: String = ManifestKit.manifestType,
        _ bytes: @escaping @Sendable (_ config: String, _ layer: String) -> [UInt8]
    ) {
        self.why = why
        contentType = type
        self.bytes = bytes
    }

    private static func extra(_ why: String, _ extra: String) -> BadManifest {
        BadManifest(why) { ManifestKit.image(config: $0, layers: [$1], extra: extra) }
    }

    /// A layer whose size is written in this way.
    private static func size(_ text: String) -> BadManifest {
        BadManifest("size \(text)") { config, layer in
            ManifestKit.image(
                config: config, layers: [layer.replacing(#""size":7"#, with: #""size":\#(text)"#)])
        }
    }

    static let all: [BadManifest] = [
        BadManifest("empty") { _, _ in [] },
        BadManifest("no JSON") { _, _ in Array("hello".utf8) },
        BadManifest("an array") { _, _ in Array("[]".utf8) },
        BadManifest("nested 100,000 deep") { _, _ in Array(repeating: 0x5b, count: 100_000) },
        BadManifest("nested 65 deep") {
            let deep = String(repeating: "[", count: 64) + String(repeating: "]", count: 64)
            return ManifestKit.image(config: $0, layers: [$1], extra: #","x":\#(deep)"#)
        },
        extra("duplicate names", #","layers":[]"#),
        extra("duplicate names by escape", #","\u006cayers":[]"#),
        extra("duplicate names inside", #","annotations":{"a":"b","a":"c"}"#),
        extra("a field in another case", #","Layers":[]"#),
        extra("a field with a long s", #","layer\u017f":[]"#),
        extra(
            "a descriptor's field in another case",
            #","subject":{"mediaType":"a/b","digest":"","Digest":"","size":1}"#),
        extra("NaN", #","x":NaN"#), extra("infinity", #","x":-Infinity"#),
        extra("leading zero", #","x":01"#), extra("plus", #","x":+1"#),
        extra("a comment", "/**/"), extra("trailing comma", ","),
        extra("lone surrogate", #","x":"\ud800""#), extra("unknown escape", #","x":"\x""#),
        extra("control character", ",\"x\":\"\u{1}\""),
        BadManifest("trailing bytes") {
            ManifestKit.image(config: $0, layers: [$1]) + Array("{}".utf8)
        },
        BadManifest("trailing NUL") { ManifestKit.image(config: $0, layers: [$1]) + [0] },
        BadManifest("byte order mark") {
            [0xef, 0xbb, 0xbf] + ManifestKit.image(config: $0, layers: [$1])
        },
        BadManifest("invalid UTF-8") {
            ManifestKit.image(config: $0, layers: [$1]).dropLast()
                + Array(#","x":""#.utf8) + [0xc0, 0xaf] + Array(#""}"#.utf8)
        },
        size("-1"), size("18446744073709551616"), size("9223372036854775808"), size("7.0"),
        size("7e0"), size("-0"), size(#""7""#), size("null"), size("8"),
        extra("both layers and manifests", #","manifests":[]"#),
        extra("fsLayers", #","fsLayers":[]"#),
        BadManifest("an index with layers", type: ManifestKit.indexType) { _, layer in
            ManifestKit.index([], extra: #","layers":[\#(layer)]"#)
        },
        BadManifest("an index with a config", type: ManifestKit.indexType) { config, _ in
            ManifestKit.index([], extra: #","config":\#(config)"#)
        },
        BadManifest("another media type than announced", type: ManifestKit.indexType) {
            ManifestKit.image(config: $0, layers: [$1])
        },
        BadManifest("a media type that nobody knows", type: "application/json") {
            ManifestKit.image(config: $0, layers: [$1])
        },
        BadManifest("schema version 1") { config, layer in
            Array(
                #"{"schemaVersion":1,"config":\#(config),"layers":[\#(layer)]}"#.utf8)
        },
        BadManifest("no config") { _, layer in
            Array(#"{"schemaVersion":2,"layers":[\#(layer)]}"#.utf8)
        },
        BadManifest("no layers") { config, _ in
            Array(#"{"schemaVersion":2,"config":\#(config)}"#.utf8)
        },
        BadManifest("a layer that is a string") { config, _ in
            ManifestKit.image(config: config, layers: [#""layer""#])
        },
        BadManifest("a digest that is none") { config, _ in
            ManifestKit.image(
                config: config,
                layers: [#"{"mediaType":"a/b","digest":"sha256:abc","size":1}"#])
        },
        extra("annotations that are no strings", #","annotations":{"a":1}"#),
        extra("a subject that is a string", #","subject":"sha256:abc""#),
    ]
}
