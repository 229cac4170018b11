"""How good a model is: metrics, floors, ceilings, the table, its plots and the model card."""
