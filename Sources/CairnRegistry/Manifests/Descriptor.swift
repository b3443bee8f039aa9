// Part of Cairn, a content-addressed blob store.
package import CairnCore

/// What a manifest says about something that it refers to (OCI image-spec, "Descriptor").
package struct Descriptor: Hashable, Sendable {
    /// RFC 6838 4.2: type and subtype, 127 bytes each.
    static let mediaTypeByteCountMax = 255

    package var mediaType: String
    package var digest: Digest
    package var byteCount: UInt64
    /// Whether the bytes can be had elsewhere.
    package var hasURLs: Bool
}

extension Descriptor {
    /// Names that a reader which ignores case, as Go's does, would take for a field of ours.
    private static let names = [
        "mediaType", "digest", "size", "urls", "annotations", "data", "artifactType", "platform",
    ]

    /// Reads a descriptor.
    ///
    /// - Parameter field: where in the manifest it is, for the message.
    package init(_ value: JSONValue, field: String) throws(RegistryError) {
        let fields = try ManifestFields(value, field: field, names: Self.names)
        mediaType = try fields.required("mediaType")
        guard Self.isMediaType(mediaType) else {
            throw fields.invalid("mediaType", "must be a media type")
        }
        let text: String = try fields.required("digest")
        do throws(RegistryError) { digest = try Digest(registry: text) } catch {
            throw fields.invalid("digest", "must be a digest")
        }
        byteCount = try fields.byteCount("size")
        hasURLs = !(try fields.array("urls") ?? []).isEmpty
        _ = try fields.annotations()
    }

    private static func isMediaType(_ text: String) -> Bool {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        return text.utf8.count <= mediaTypeByteCountMax && parts.count == 2
            && parts.allSatisfy { part in
                !part.isEmpty
                    && part.utf8.allSatisfy { byte in byte > 0x20 && byte < 0x7f && byte != 0x22 }
            }
    }
}

/// The fields of one object of a manifest, with errors that name them.
struct ManifestFields {
    private let members: [String: JSONValue]
    private let field: String

    /// - Parameter names: the fields with a meaning; another spelling of one is refused.
    init(_ value: JSONValue, field: String, names: [String]) throws(RegistryError) {
        self.field = field
        guard case .object(let members) = value else {
            throw RegistryError(
                .manifestInvalid,
                field.isEmpty
                    ? "The manifest must be an object."
                    : "The manifest's '\(field)' must be an object.")
        }
        self.members = members
        let known = Set(names)
        // Upper case, for that is where U+017F (long s) meets s, as in the readers of Go.
        let folded = Set(names.map { $0.uppercased() })
        for name in members.keys where !known.contains(name) {
            guard !folded.contains(name.uppercased()) else {
                throw RegistryError(
                    .manifestInvalid, "The manifest has a field that differs from one in case only."
                )
            }
        }
    }

    func invalid(_ name: String, _ rule: String) -> RegistryError {
        let path = field.isEmpty ? name : field + "." + name
        return RegistryError(.manifestInvalid, "The manifest's '\(path)' \(rule).")
    }

    func contains(_ name: String) -> Bool { members[name] != nil }

    func value(_ name: String) -> JSONValue? { members[name] }

    func string(_ name: String) throws(RegistryError) -> String? {
        switch members[name] {
        case nil: return nil
        case .string(let text): return text
        default: throw invalid(name, "must be a string")
        }
    }

    func required(_ name: String) throws(RegistryError) -> String {
        guard let text = try string(name) else { throw invalid(name, "is missing") }
        return text
    }

    func array(_ name: String) throws(RegistryError) -> [JSONValue]? {
        switch members[name] {
        case nil: return nil
        case .array(let values): return values
        default: throw invalid(name, "must be an array")
        }
    }

    /// A number of bytes: digits only, so that no reader can see another number than we do.
    func byteCount(_ name: String) throws(RegistryError) -> UInt64 {
        guard case .number(let text) = members[name],
            text.utf8.allSatisfy({ $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }),
            let value = Int64(text)
        else { throw invalid(name, "must be an integer from 0 to 2^63 - 1") }
        return UInt64(value)
    }

    func annotations() throws(RegistryError) -> [String: JSONValue] {
        switch members["annotations"] {
        case nil, .null: return [:]
        case .object(let values) where values.values.allSatisfy({ $0.string != nil }):
            return values
        default: throw invalid("annotations", "must be an object of strings")
        }
    }
}
