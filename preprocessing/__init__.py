"""Videos in, annotated and sharded clips out."""
