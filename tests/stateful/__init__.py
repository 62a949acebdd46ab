"""Random programs over the public interface, checked against a model."""
