// Part of Cairn, a content-addressed blob store.
import CairnKeys
import CairnTestSupport
import Testing

@Suite struct KeyReferenceTests {
    @Test(arguments: [
        "alias/a", "alias/cairn/default", "alias/A-b_9/", "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
        "arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab",
    ])
    func `aliases, ids and resource names are references`(_ text: String) throws {
        let reference = try KeyReference(text)
        #expect(reference.text == text)
        #expect(reference.isAlias == text.hasPrefix("alias/"))
    }

    @Test(arguments: [
        "", " ", "a b", "a\n", "\u{e9}", "alias/", "alias/a b", "alias/\u{e9}", "alias/a.b",
        "alias/a\0",
    ])
    func `malformed references are refused`(_ text: String) {
        #expect(throws: KeyError.with(.invalidArgument)) { try KeyReference(text) }
    }

    @Test func `aliases and ids end at their limits`() throws {
        let alias = "alias/" + String(repeating: "a", count: KeyReference.aliasByteCountMax - 6)
        _ = try KeyReference(alias)
        #expect(throws: KeyError.with(.invalidArgument)) { try KeyReference(alias + "a") }
        let id = String(repeating: "a", count: KeyID.byteCountMax)
        _ = try KeyID(id)
        #expect(throws: KeyError.with(.invalidArgument)) { try KeyID(id + "a") }
    }
}
