// Part of Cairn, a content-addressed blob store.
public import ArgumentParser
public import CairnCore

extension Digest: ExpressibleByArgument {
    /// Reads a digest from the command line.
    public init?(argument: String) {
        guard let digest = try? Digest(argument) else { return nil }
        self = digest
    }
}
