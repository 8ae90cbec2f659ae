"""Feature assembly, trees and what each feature added: candidates in, scores out."""
