"""JSON Object Signing: the hub's signing keys and the tokens they sign. joserfc does the rest."""
