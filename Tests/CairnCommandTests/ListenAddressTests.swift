// Part of Cairn, a content-addressed blob store.
import Testing

@testable import cairn

@Suite struct `Addresses to listen on` {
    @Test(arguments: ["127.0.0.1:5000", "localhost:0", "[::1]:65535", "0.0.0.0:80"])
    func `an address is read and printed alike`(_ text: String) {
        #expect(ListenAddress(argument: text)?.description == text)
    }

    @Test(arguments: [
        "", ":", ":5000", "localhost", "localhost:", "localhost:65536", "localhost:-1", "::1:5000",
        "[]:5000", "localhost:5000x",
    ])
    func `what has no host or no port is not an address`(_ text: String) {
        #expect(ListenAddress(argument: text) == nil)
    }
}
