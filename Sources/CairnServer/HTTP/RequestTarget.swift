// Part of Cairn, a content-addressed blob store.

// target := "/v2/"
//         | "/v2/_catalog"
//         | "/v2/" name "/blobs/" digest
//         | "/v2/" name "/blobs/uploads/" id?
//         | "/v2/" name "/manifests/" reference
//         | "/v2/" name "/tags/list"
//         | "/v2/" name "/referrers/" digest
//
// A name has slashes, so the path is read from its right end. Each segment is decoded after the
// path was split: an encoded slash never makes a segment.

/// What a request's path names; nothing in it is validated yet.
enum RequestTarget: Hashable {
    case version
    case catalog
    case blob(name: String, digest: String)
    case uploads(name: String)
    case upload(name: String, id: String)
    case manifest(name: String, reference: String)
    case tags(name: String)
    case referrers(name: String, digest: String)

    /// Reads a path; nil when it names nothing or its percent encoding is malformed.
    init?(path: String) {
        if path == "/v2" || path == "/v2/" {
            self = .version
            return
        }
        guard path.hasPrefix("/v2/") else { return nil }
        var segments: [String] = []
        for segment in path.dropFirst(4).split(separator: "/", omittingEmptySubsequences: false) {
            // What does not decode cannot be valid; a replacement keeps the position, so that the
            // field it stands in is the one that is refused.
            segments.append(PercentCoding.decode(segment) ?? "%")
        }
        self.init(segments)
    }

    private init?(_ segments: [String]) {
        func name(droppingLast count: Int) -> String {
            // A decoded slash would otherwise join the name unnoticed.
            segments.dropLast(count).map { $0.contains("/") ? "%" : $0 }.joined(separator: "/")
        }
        if segments == ["_catalog"] {
            self = .catalog
            return
        }
        guard let last = segments.last else { return nil }
        let count = segments.count
        let second = count > 1 ? segments[count - 2] : ""
        let third = count > 2 ? segments[count - 3] : ""
        switch (third, second, last) {
        case ("blobs", "uploads", "") where count > 3: self = .uploads(name: name(droppingLast: 3))
        case ("blobs", "uploads", let id) where count > 3:
            self = .upload(name: name(droppingLast: 3), id: id)
        case (_, "blobs", "uploads") where count > 2: self = .uploads(name: name(droppingLast: 2))
        case (_, "blobs", let digest) where count > 2:
            self = .blob(name: name(droppingLast: 2), digest: digest)
        case (_, "manifests", let reference) where count > 2:
            self = .manifest(name: name(droppingLast: 2), reference: reference)
        case (_, "tags", "list") where count > 2: self = .tags(name: name(droppingLast: 2))
        case (_, "referrers", let digest) where count > 2:
            self = .referrers(name: name(droppingLast: 2), digest: digest)
        default: return nil
        }
    }
}
